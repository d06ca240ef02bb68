"""Gate on how differently slices of the rows are treated, with Fairlearn's rates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.declarations import METRICS, RATES, Fairness
from include.errors import ModelError
from include.modeling.evaluation.evidence import Measurement
from include.modeling.evaluation.metrics import METRIC_FUNCTIONS
from include.modeling.gates.base import PromotionGate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from include.declarations import Metric, Rate
    from include.modeling.evaluation.bootstrap import Values
    from include.modeling.evaluation.context import EvaluationContext
    from include.modeling.evaluation.evidence import Evidence, Figure
    from include.modeling.gates.base import Verdict

    Item = Mapping[str, Figure | None]

MISSING = "missing"
# Undefined on rows of one class.
RANKING_METRICS = frozenset({"roc_auc", "average_precision"})


class FairnessGate(PromotionGate[Fairness]):
    """No metric differs too much between two slices of the test rows."""

    def measure(self, context: EvaluationContext) -> Measurement:
        """
        Return each metric of each slice of the test rows, with the number of rows it is computed from.

        Raises
        ------
        ModelError
            If a log loss is declared and a prediction is no probability.
        """
        gate = self.declared
        test = context.test
        slices = _slice_names(test.frame[gate.column])
        rates = [rate for rate in RATES if rate in gate.metrics]
        items: list[Item] = []
        if rates:
            items += rates_by_slice(rates, slices, test.target, test.predictions >= context.threshold)
        rows_by_slice = pd.Series(range(len(slices))).groupby(slices, observed=True).indices
        for metric in METRICS[self.use_case.task]:
            if metric in gate.metrics:
                items += _metric_by_slice(
                    metric, rows_by_slice, test.target, test.predictions, gate.minimum_support
                )
        supported = [item for item in items if int(item["rows"] or 0) >= gate.minimum_support]
        figures: dict[str, Figure] = {
            "slices": len(rows_by_slice),
            "threshold": context.threshold,
            "too_small": len(items) - len(supported),
        }
        return Measurement(figures=figures, items=tuple(supported), rows=len(slices))

    def judge(self, evidence: Evidence) -> Verdict:
        """Fail if a metric differs too much; the reason names the two slices and their rows."""
        gate = self.declared
        measurement = self.measurement(evidence)
        figures: dict[str, Figure] = dict(measurement.figures)
        unfair: list[str] = []
        fair: list[str] = []
        for metric in gate.metrics:
            items = [item for item in measurement.items if item["metric"] == metric]
            if len(items) < 2:
                continue
            lowest = min(items, key=_value)
            highest = max(items, key=_value)
            gap = _value(highest) - _value(lowest)
            ratio = _value(lowest) / _value(highest) if _value(highest) else 1.0
            figures |= {f"{metric}.gap": gap, f"{metric}.ratio": ratio}
            messages = unfair if _is_unfair(gate, gap, ratio) else fair
            messages.append(
                f"{metric} is {_describe_slice(gate, lowest)} and {_describe_slice(gate, highest)}: "
                f"{_describe_limits(gate, gap, ratio)}"
            )
        if not unfair and not fair:
            reason = f"fewer than two slices by {gate.column} have the {gate.minimum_support} rows required"
            return self.verdict("inconclusive", reason, figures)
        return self.verdict("fail" if unfair else "pass", "; ".join(unfair or fair), figures)


def rates_by_slice(
    rates: Sequence[Rate], slices: Any, target: Values, decisions: npt.NDArray[np.bool_]
) -> list[Item]:
    """
    Return Fairlearn's rates of each slice.

    The rows are counted first and Fairlearn weighs the counts, which gives the same rates in one pass.

    Parameters
    ----------
    rates : sequence of Rate
        Names of functions of `fairlearn.metrics`.
    slices : array-like, shape (n,)
        Slice of each row.
    target : array of float, shape (n,)
        1 for the positive class.
    decisions : array of bool, shape (n,)
        Whether the prediction reaches the threshold.
    """
    from fairlearn import metrics as fairlearn

    frame = pd.DataFrame({"slice": slices, "target": target == 1, "decision": decisions})
    cells = frame.groupby(["slice", "target", "decision"], observed=True).size().reset_index(name="rows")
    weights = {"sample_weight": cells["rows"]}
    values = fairlearn.MetricFrame(
        metrics={rate: getattr(fairlearn, rate) for rate in rates},
        y_true=cells["target"].astype(int),
        y_pred=cells["decision"].astype(int),
        sensitive_features=cells["slice"].astype(str),
        sample_params=dict.fromkeys(rates, weights),
    ).by_group
    by_slice = frame.groupby("slice", observed=True)
    sizes = by_slice.size()
    positives = by_slice["target"].sum()
    # The rows that a rate is a share of.
    support = {
        "selection_rate": sizes,
        "true_positive_rate": positives,
        "false_positive_rate": sizes - positives,
    }
    items: list[Item] = []
    for rate in rates:
        for name, value in values[rate].items():
            rows = int(support[rate][name])
            items.append({"slice": str(name), "metric": rate, "value": float(value), "rows": rows})
    return items


def _slice_names(values: pd.Series[Any]) -> pd.Series[Any]:
    """Return the slice of each row as a category; distinct values are few, so only these become text."""
    codes, distinct = pd.factorize(values.astype(object))
    texts = np.asarray([*(str(value) for value in distinct), MISSING], dtype=object)
    text_codes, names = pd.factorize(texts, sort=True)
    # The code -1 of a missing value indexes the last text.
    return pd.Series(pd.Categorical.from_codes(text_codes[codes], pd.Index(names)))


def _metric_by_slice(
    metric: Metric, rows_by_slice: Mapping[Any, Any], target: Values, predictions: Values, minimum: int
) -> list[Item]:
    """Return a metric of each slice; undefined values, and those of fewer than `minimum` rows, are None."""
    lowest = predictions.min()
    highest = predictions.max()
    if metric == "log_loss" and (lowest < 0 or highest > 1):
        raise ModelError(
            f"log_loss is undefined: predictions lie in {lowest:.4g} to {highest:.4g}, not in 0 to 1"
        )
    items: list[Item] = []
    for name, positions in rows_by_slice.items():
        targets = target[positions]
        rows = len(positions) if _is_defined(metric, targets) else 0
        value = None
        if rows >= minimum:
            value = float(METRIC_FUNCTIONS[metric](targets, predictions[positions]))
        items.append({"slice": str(name), "metric": metric, "value": value, "rows": rows})
    return items


def _is_defined(metric: Metric, target: Values) -> bool:
    if metric in RANKING_METRICS:
        return len(np.unique(target)) > 1
    return metric != "r2" or len(target) > 1


def _value(item: Item) -> float:
    return float(item["value"] or 0)


def _is_unfair(gate: Fairness, gap: float, ratio: float) -> bool:
    if gate.maximum_gap is not None and gap > gate.maximum_gap:
        return True
    return gate.minimum_ratio is not None and ratio < gate.minimum_ratio


def _describe_slice(gate: Fairness, item: Item) -> str:
    return f"{_value(item):.3f} for {gate.column} {item['slice']} ({item['rows']} rows)"


def _describe_limits(gate: Fairness, gap: float, ratio: float) -> str:
    messages = []
    if gate.maximum_gap is not None:
        messages.append(f"a gap of {gap:.3f}, {gate.maximum_gap:g} allowed")
    if gate.minimum_ratio is not None:
        messages.append(f"a ratio of {ratio:.3f}, at least {gate.minimum_ratio:g} required")
    return " and ".join(messages)
