"""Judge whether spoilt inputs make a model swing, stop, or answer nonsense."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.declarations import GREATER_IS_BETTER
from include.errors import DataError
from include.modeling.evaluation.context import evenly_spaced, predict_checked
from include.modeling.evaluation.evidence import Measurement
from include.modeling.evaluation.metrics import compute_metrics
from include.modeling.gates.verdict import measurement_of, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from include.declarations import Robustness
    from include.modeling.evaluation.bootstrap import Values
    from include.modeling.evaluation.context import EvaluationContext
    from include.modeling.evaluation.evidence import Evidence, Figure
    from include.modeling.gates.verdict import Verdict

UNSEEN = "never seen in training"
FAR = 10  # times the range of the training rows


def measure(gate: Robustness, trial: EvaluationContext) -> Measurement:
    """Ask a bounded number of test rows again, one column spoilt at a time."""
    places = evenly_spaced(len(trial.test.predictions), gate.rows)
    rows, answers = trial.test.frame.iloc[places], trial.test.predictions[places]
    spoilt = _spoilt(gate, trial.train.frame, rows)
    items = tuple(_asked(gate, trial, rows, answers, how) for how in spoilt)
    return Measurement(items=items, rows=len(rows))


def _spoilt(gate: Robustness, train: pd.DataFrame, rows: pd.DataFrame) -> Iterator[tuple[str, str, Any]]:
    """
    Yield how, which column, and what stands in it then.

    :raises DataError: if a column is no number, and can have neither noise nor extremes
    """
    texts = [name for name in (*gate.noise, *gate.extremes) if not pd.api.types.is_numeric_dtype(train[name])]
    if texts:
        raise DataError(
            f"{', '.join(texts)} is no number, and has neither noise nor extremes. Declare it under "
            "`missing` or `unseen` of the gate robustness."
        )
    random = np.random.default_rng(0)
    for column, error in gate.noise.items():
        noisy = rows[column] + random.uniform(-error, error, len(rows))
        whole = pd.api.types.is_integer_dtype(rows[column])
        yield "noise", column, noisy.round().astype(rows[column].dtype) if whole else noisy
    for column in gate.missing:
        yield "missing", column, np.nan if pd.api.types.is_numeric_dtype(rows[column]) else None
    for column in gate.unseen:
        yield "unseen", column, UNSEEN
    for column in gate.extremes:
        low, high = train[column].min(), train[column].max()
        for value in (low - FAR * (high - low), high + FAR * (high - low)):
            yield "extreme", column, value


def _asked(
    gate: Robustness, trial: EvaluationContext, rows: pd.DataFrame, before: Values, how: tuple[str, str, Any]
) -> Mapping[str, Figure | None]:
    kind, column, values = how
    use_case = trial.use_case
    item: dict[str, Figure | None] = {"kind": kind, "column": column, "problem": None}
    try:
        after = predict_checked(use_case, trial.model, rows.assign(**{column: values}))
    except DataError as error:
        return item | {"problem": str(error), "flips": None, "loss": None, "outside": None}
    if use_case.task == "binary":
        flips = (after >= trial.threshold) != (before >= trial.threshold)
    else:
        flips = np.abs(after - before) > (gate.tolerance or np.inf)
    low, high = use_case.prediction_range
    outside = int(np.count_nonzero((after < low) | (after > high)))
    then, now = (
        compute_metrics(use_case, given, rows["target"]).get(use_case.metric) for given in (before, after)
    )
    loss = None
    if then is not None and now is not None:
        loss = then - now if use_case.metric in GREATER_IS_BETTER else now - then
    return item | {"flips": float(flips.mean()), "loss": loss, "outside": outside}


def judge(gate: Robustness, evidence: Evidence) -> Verdict:
    """Fail if noise flips too much, anything costs too much, or an answer is nonsense; name the columns."""
    found = measurement_of(gate, evidence)
    wrong = [said for item in found.items for said in _wrong(gate, item)]
    flips = [float(item["flips"] or 0) for item in found.items if item["kind"] == "noise"]
    losses = [float(item["loss"]) for item in found.items if item["loss"] is not None]
    figures: dict[str, Figure] = {"rows": found.rows, "asked": len(found.items)}
    figures |= {"largest_flips": max(flips, default=0.0), "largest_loss": max(losses, default=0.0)}
    reason = "; ".join(wrong) or (
        f"noise flips at most {figures['largest_flips']:.1%} of the decisions, and nothing costs more than "
        f"{figures['largest_loss']:.4f}, in {len(found.items)} ways"
    )
    return verdict(gate, "fail" if wrong else "pass", f"{reason} (on {found.rows} rows)", figures)


def _wrong(gate: Robustness, item: Mapping[str, Figure | None]) -> Iterator[str]:
    what = {
        "noise": f"noise of {gate.noise.get(str(item['column']), 0):g} in {item['column']}",
        "missing": f"a missing {item['column']}",
        "unseen": f"an unseen {item['column']}",
        "extreme": f"an extreme {item['column']}",
    }[str(item["kind"])]
    if item["problem"]:
        yield f"{what}: {item['problem']}"
    if item["outside"]:
        yield f"{what} makes {item['outside']} answers leave the declared range"
    if item["kind"] == "noise" and float(item["flips"] or 0) > gate.maximum_flips:
        yield f"{what} flips {item['flips']:.1%} of the decisions, {gate.maximum_flips:.1%} allowed"
    if gate.maximum_loss is not None and float(item["loss"] or 0) > gate.maximum_loss:
        yield f"{what} costs {item['loss']:.4f} of the metric, {gate.maximum_loss:g} allowed"
