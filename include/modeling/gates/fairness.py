"""Judge whether slices of the rows are treated alike, with Fairlearn's rates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.declarations import METRICS, RATES
from include.errors import DataError
from include.modeling.evaluation.evidence import Measurement
from include.modeling.evaluation.metrics import MEASURES
from include.modeling.gates.verdict import measurement_of, verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from include.declarations import Fairness, Metric, Rate
    from include.modeling.evaluation.context import EvaluationContext
    from include.modeling.evaluation.evidence import Evidence, Figure
    from include.modeling.gates.verdict import Verdict

MISSING = "missing"
RANKING = frozenset({"roc_auc", "average_precision"})  # of no meaning within one class


def measure(gate: Fairness, trial: EvaluationContext) -> Measurement:
    """Return each metric of each slice of the test rows, and how many rows it rests on."""
    slices = _slices(trial.test.frame[gate.column])
    rates = [rate for rate in RATES if rate in gate.metrics]
    items = _rates(rates, slices, trial) if rates else []
    places = pd.Series(range(len(slices))).groupby(slices, observed=True).indices
    for metric in METRICS[trial.use_case.task]:
        if metric in gate.metrics:
            items += _metric(metric, places, trial, gate.minimum_support)
    judged = [item for item in items if int(item["rows"] or 0) >= gate.minimum_support]
    figures: dict[str, Figure] = {"slices": len(places), "threshold": trial.threshold}
    figures["too_small"] = len(items) - len(judged)
    return Measurement(figures=figures, items=tuple(judged), rows=len(slices))


def _slices(values: pd.Series[Any]) -> pd.Series[Any]:
    """Return the slice of each row by its name; values are few, so that rows need no text of their own."""
    codes, found = pd.factorize(values.astype(object))
    texts = np.asarray([*(str(value) for value in found), MISSING], dtype=object)
    places, names = pd.factorize(texts, sort=True)
    # -1, of what is missing, is the last
    return pd.Series(pd.Categorical.from_codes(places[codes], pd.Index(names)))


def _rates(rates: Sequence[Rate], slices: Any, trial: EvaluationContext) -> list[Mapping[str, Figure | None]]:
    """Count first and let Fairlearn weigh the counts: the same rates, in one pass over the rows."""
    from fairlearn import metrics as fairlearn

    frame = pd.DataFrame({"slice": slices, "target": trial.test.target == 1})
    frame["acted"] = trial.test.predictions >= trial.threshold
    cells = frame.groupby(["slice", "target", "acted"], observed=True).size().reset_index(name="rows")
    weights = {"sample_weight": cells["rows"]}
    found = fairlearn.MetricFrame(
        metrics={rate: getattr(fairlearn, rate) for rate in rates},
        y_true=cells["target"].astype(int),
        y_pred=cells["acted"].astype(int),
        sensitive_features=cells["slice"].astype(str),
        sample_params=dict.fromkeys(rates, weights),
    ).by_group
    by_slice = frame.groupby("slice", observed=True)
    of_slice, positive = by_slice.size(), by_slice["target"].sum()
    support = {  # the rows that a rate is a share of
        "selection_rate": of_slice,
        "true_positive_rate": positive,
        "false_positive_rate": of_slice - positive,
    }
    return [
        {"slice": str(name), "metric": rate, "value": float(value), "rows": int(support[rate][name])}
        for rate in rates
        for name, value in found[rate].items()
    ]


def _metric(
    metric: Metric, slices: Mapping[Any, Any], trial: EvaluationContext, minimum: int
) -> list[Mapping[str, Figure | None]]:
    lowest, highest = trial.test.predictions.min(), trial.test.predictions.max()
    if metric == "log_loss" and (lowest < 0 or highest > 1):
        raise DataError(f"log_loss is undefined: answers lie in {lowest:.4g} to {highest:.4g}, not in 0 to 1")
    items: list[Mapping[str, Figure | None]] = []
    for name, places in slices.items():
        target, answers = trial.test.target[places], trial.test.predictions[places]
        undefined = metric in RANKING and len(np.unique(target)) < 2
        undefined |= metric == "r2" and len(places) < 2
        rows = 0 if undefined else len(places)
        value = float(MEASURES[metric](target, answers)) if rows >= minimum else None
        items.append({"slice": str(name), "metric": metric, "value": value, "rows": rows})
    return items


def judge(gate: Fairness, evidence: Evidence) -> Verdict:
    """Fail if a metric differs too much between two slices; say which two, and on how many rows."""
    found = measurement_of(gate, evidence)
    figures: dict[str, Figure] = dict(found.figures)
    unfair: list[str] = []
    fair: list[str] = []
    for metric in gate.metrics:
        of_metric = sorted(
            (item for item in found.items if item["metric"] == metric),
            key=lambda item: float(item["value"] or 0),
        )
        if len(of_metric) < 2:
            continue
        low, high = of_metric[0], of_metric[-1]
        worst, best = float(low["value"] or 0), float(high["value"] or 0)
        gap, ratio = best - worst, worst / best if best else 1.0
        figures |= {f"{metric}.gap": gap, f"{metric}.ratio": ratio}
        said = (
            f"{metric} is {worst:.3f} for {gate.column} {low['slice']} ({low['rows']} rows) and "
            f"{best:.3f} for {high['slice']} ({high['rows']} rows)"
        )
        too_far = gate.maximum_gap is not None and gap > gate.maximum_gap
        too_low = gate.minimum_ratio is not None and ratio < gate.minimum_ratio
        (unfair if too_far or too_low else fair).append(f"{said}: {_limits(gate, gap, ratio)}")
    if not unfair and not fair:
        reason = f"fewer than two slices by {gate.column} have {gate.minimum_support} rows to judge by"
        return verdict(gate, "inconclusive", reason, figures)
    return verdict(gate, "fail" if unfair else "pass", "; ".join(unfair or fair), figures)


def _limits(gate: Fairness, gap: float, ratio: float) -> str:
    said = []
    if gate.maximum_gap is not None:
        said.append(f"a gap of {gap:.3f}, {gate.maximum_gap:g} allowed")
    if gate.minimum_ratio is not None:
        said.append(f"a ratio of {ratio:.3f}, at least {gate.minimum_ratio:g} wanted")
    return " and ".join(said)
