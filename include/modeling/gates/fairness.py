"""Gate on how differently slices of the rows are treated, with Fairlearn's rates."""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.stats import t

from include.declarations import RATES, Fairness
from include.errors import ModelError
from include.modeling.evaluation.evidence import Measurement
from include.modeling.evaluation.slices import SlicedRows, measure_rates, metrics_by_slice, slice_rows
from include.modeling.gates.base import PromotionGate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.modeling.evaluation.context import EvaluationContext
    from include.modeling.evaluation.evidence import Evidence, Figure
    from include.modeling.evaluation.slices import Item
    from include.modeling.gates.base import Verdict, VerdictOutcome

LARGEST = float(np.finfo(np.float64).max)
WORST_FIRST: list[VerdictOutcome] = ["fail", "inconclusive", "pass"]
MAX_LISTED = 3
# Of very many slices, as many with the lowest and with the highest values are compared.
MAX_COMPARED = 30


class Comparison(NamedTuple):
    """Two slices by one metric: their gap and ratio, and what is judged about them."""

    lower: Item
    higher: Item
    gap: float
    ratio: float
    outcome: VerdictOutcome


class FairnessGate(PromotionGate[Fairness]):
    """No metric differs too much between two slices of the test rows."""

    def measure(self, context: EvaluationContext) -> Measurement:
        """
        Return each metric of each slice of the test rows, with its standard error and the number of rows.

        Raises
        ------
        ModelError
            If a log loss is declared and a prediction is no probability.
        """
        gate = self.declared
        test = context.test
        _require_probabilities(gate, test.predictions, self.use_case.task)
        slices = slice_rows(test.frame, context.train.frame, gate.columns, gate.bins)
        rows = SlicedRows(slices, test.target, test.predictions, context.units)
        items: list[Item] = []
        rates = [rate for rate in RATES if rate in gate.metrics]
        if rates:
            items += measure_rates(rates, rows, context.threshold, gate.minimum_support)
        items += metrics_by_slice(gate.metrics, self.use_case, rows, gate.minimum_support)
        supported = [item for item in items if int(item["rows"] or 0) >= gate.minimum_support]
        figures: dict[str, Figure] = {
            "slices": len(rows.positions),
            "threshold": context.threshold,
            "too_small": len(items) - len(supported),
        }
        return Measurement(figures=figures, items=tuple(supported), rows=len(slices))

    def judge(self, evidence: Evidence) -> Verdict:
        """
        Fail if a metric certainly differs too much, given how many slices were compared.

        A gap above the maximum, or a ratio below the minimum, that may be chance is inconclusive. The reason
        names the two slices and their rows.
        """
        gate = self.declared
        measurement = self.measurement(evidence)
        figures: dict[str, Figure] = dict(measurement.figures)
        by_metric = {metric: _defined_items(measurement, metric) for metric in gate.metrics}
        pairs = sum(math.comb(len(items), 2) for items in by_metric.values())
        quantile = _quantile(gate.confidence, pairs, evidence.units)
        worst: list[tuple[str, Comparison]] = []
        for metric, items in by_metric.items():
            if len(items) < 2:
                continue
            comparisons = list(_compare_slices(gate, items, quantile))
            figures[f"{metric}.gap"] = max(comparison.gap for comparison in comparisons)
            figures[f"{metric}.ratio"] = min(comparison.ratio for comparison in comparisons)
            worst.append((metric, min(comparisons, key=_badness)))
        undefined = _describe_unjudged(measurement)
        if not worst:
            reason = f"fewer than two slices by {gate.by} have the {gate.minimum_support} rows required"
            return self.verdict("inconclusive", reason + undefined, figures)
        outcome = min((comparison.outcome for _, comparison in worst), key=WORST_FIRST.index)
        messages = [
            _describe_pair(gate, metric, comparison)
            for metric, comparison in worst
            if comparison.outcome == outcome
        ]
        figures["compared"] = pairs
        return self.verdict(outcome, "; ".join(messages) + undefined, figures)


def slice_ratio(first: float, second: float) -> float:
    """
    Return the ratio of the smaller of two values to the larger one, from 0 to 1.

    Of two negative values, the ratio is that of their sizes; values of different signs have the ratio 0, and
    equal ones 1.
    """
    if first == second:
        return 1.0
    if first * second < 0 or (first < 0) != (second < 0):
        return 0.0
    sizes = sorted((abs(first), abs(second)))
    return sizes[0] / sizes[1]


def _compare_slices(gate: Fairness, items: Sequence[Item], quantile: float) -> Iterator[Comparison]:
    """Yield each pair of slices; `quantile` is that of the bounds of all pairs at once."""
    ranked = sorted(items, key=_value)
    if len(ranked) > 2 * MAX_COMPARED:
        # The others are between these.
        ranked = [*ranked[:MAX_COMPARED], *ranked[-MAX_COMPARED:]]
    for lower, higher in combinations(ranked, 2):
        gap = min(_value(higher) - _value(lower), LARGEST)
        ratio = slice_ratio(_value(lower), _value(higher))
        outcome: VerdictOutcome = "pass"
        if _exceeds(gate, gap, ratio):
            is_certain = _is_certain(gate, lower, higher, quantile)
            outcome = "fail" if is_certain else "inconclusive"
        yield Comparison(lower, higher, gap, ratio, outcome)


def _exceeds(gate: Fairness, gap: float, ratio: float) -> bool:
    if gate.maximum_gap is not None and gap > gate.maximum_gap:
        return True
    return gate.minimum_ratio is not None and ratio < gate.minimum_ratio


def _is_certain(gate: Fairness, lower: Item, higher: Item, quantile: float) -> bool:
    """
    Return whether a limit is exceeded by more than the values vary.

    The rows of two slices are taken as independent; rows of one day vary together, which makes the gap vary
    less than that.
    """
    low = _value(lower)
    high = _value(higher)
    if low < 0 and high <= 0:
        low, high = high, low
        lower, higher = higher, lower
        low = -low
        high = -high
    if lower.get("spread") is None or higher.get("spread") is None:
        return False
    low_spread = float(lower["spread"] or 0)
    high_spread = float(higher["spread"] or 0)
    if gate.maximum_gap is not None:
        excess = high - low - gate.maximum_gap
        if excess > 0 and excess >= quantile * math.hypot(low_spread, high_spread):
            return True
    if gate.minimum_ratio is None:
        return False
    shortfall = gate.minimum_ratio * high - low
    spread = math.hypot(low_spread, gate.minimum_ratio * high_spread)
    return shortfall > 0 and shortfall >= quantile * spread


def _quantile(confidence: float, pairs: int, units: int) -> float:
    """Return the number of standard errors of the bounds that all hold at once (Bonferroni; Student)."""
    if not pairs or units < 2:
        return math.inf
    return float(t.ppf(1 - (1 - confidence) / pairs, units - 1))


def _badness(comparison: Comparison) -> tuple[int, float, float]:
    return WORST_FIRST.index(comparison.outcome), -comparison.gap, comparison.ratio


def _defined_items(measurement: Measurement, metric: str) -> list[Item]:
    return [item for item in measurement.items if item["metric"] == metric and item["value"] is not None]


def _require_probabilities(gate: Fairness, predictions: np.ndarray, task: str) -> None:
    lowest = predictions.min()
    highest = predictions.max()
    if task != "regression" and "log_loss" in gate.metrics and (lowest < 0 or highest > 1):
        raise ModelError(
            f"log_loss is undefined: predictions lie in {lowest:.9g} to {highest:.9g}, not in 0 to 1"
        )


def _value(item: Item) -> float:
    return float(item["value"] or 0)


def _describe_pair(gate: Fairness, metric: str, comparison: Comparison) -> str:
    reason = (
        f"{metric} is {_describe_slice(gate, comparison.lower)} and "
        f"{_describe_slice(gate, comparison.higher)}: {_describe_limits(gate, comparison)}"
    )
    if comparison.outcome == "inconclusive":
        reason += f"; it may be chance, at {gate.confidence:.0%} for all slices together"
    return reason


def _describe_slice(gate: Fairness, item: Item) -> str:
    value = _value(item)
    text = f"{value:.3f}" if 1e-3 <= abs(value) < 1e6 or not value else f"{value:.3g}"
    return f"{text} for {gate.by} {item['slice']} ({item['rows']} rows)"


def _describe_limits(gate: Fairness, comparison: Comparison) -> str:
    messages = []
    if gate.maximum_gap is not None:
        messages.append(f"a gap of {comparison.gap:.3g}, {gate.maximum_gap:g} allowed")
    if gate.minimum_ratio is not None:
        messages.append(f"a ratio of {comparison.ratio:.3f}, at least {gate.minimum_ratio:g} required")
    return " and ".join(messages)


def _describe_unjudged(measurement: Measurement) -> str:
    """Return the first slices that a metric is undefined in, with the reason."""
    undefined = [item for item in measurement.items if item["value"] is None]
    texts = [f"{item['metric']} of {item['slice']} is undefined: {item['why']}" for item in undefined]
    further = f"; and {len(texts) - MAX_LISTED} more" if len(texts) > MAX_LISTED else ""
    return "".join(f"; {text}" for text in texts[:MAX_LISTED]) + further
