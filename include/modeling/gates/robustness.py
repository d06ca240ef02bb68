"""Gate on predictions of perturbed rows: noise, missing values, unseen categories and extremes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from include.data.snapshots.target_encoding import TARGET
from include.declarations import Robustness, is_greater_better
from include.errors import DataError, ModelError
from include.inference.predictions import outside_range
from include.modeling.evaluation.context import evenly_spaced, predict_checked
from include.modeling.evaluation.evidence import Measurement
from include.modeling.evaluation.metrics import compute_metrics
from include.modeling.gates.base import PromotionGate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from include.declarations import UseCase
    from include.declarations.risk import StandardRobustness
    from include.modeling.evaluation.bootstrap import Values
    from include.modeling.evaluation.context import EvaluationContext
    from include.modeling.evaluation.evidence import Evidence, Figure
    from include.modeling.gates.base import Verdict

    Item = Mapping[str, Figure | None]

UNSEEN = "never seen in training"
# Distance of an extreme value, in ranges of the training rows.
EXTREME_RANGES = 10
# Noise of the standard gate, as a part of a column's standard deviation.
NOISE = 0.01
# Change of a prediction of a regression that is a flip of the standard gate, as a part of the standard
# deviation of the training target.
FLIP_SHARE = 0.1


class Perturbation(NamedTuple):
    """One column of the rows with other values."""

    kind: str
    column: str
    values: Any


class RobustnessGate(PromotionGate[Robustness]):
    """Predictions of perturbed rows stay possible, and change little."""

    def measure(self, context: EvaluationContext) -> Measurement:
        """
        Return what each perturbation of a bounded number of test rows changes, one column at a time.

        Raises
        ------
        DataError
            If noise or extremes are declared for a column that is not numeric.
        """
        positions = evenly_spaced(len(context.test.predictions), self.declared.rows)
        rows = context.test.frame.iloc[positions]
        predictions = context.test.predictions[positions]
        perturbations = _perturb(self.declared, context.train.frame, rows)
        items = tuple(
            self._measure_change(context, rows, predictions, perturbation) for perturbation in perturbations
        )
        return Measurement(items=items, rows=len(rows))

    def judge(self, evidence: Evidence) -> Verdict:
        """Fail if noise flips too many decisions, a loss is too large, or a prediction is impossible."""
        measurement = self.measurement(evidence)
        violations: list[str] = []
        for item in measurement.items:
            violations += _violations(self.declared, item)
        flips = [float(item["flips"] or 0) for item in measurement.items if item["kind"] == "noise"]
        losses = [float(item["loss"]) for item in measurement.items if item["loss"] is not None]
        largest_flips = max(flips, default=0.0)
        largest_loss = max(losses, default=0.0)
        figures: dict[str, Figure] = {
            "rows": measurement.rows,
            "perturbations": len(measurement.items),
            "largest_flips": largest_flips,
            "largest_loss": largest_loss,
        }
        reason = "; ".join(violations) or (
            f"noise flips at most {largest_flips:.1%} of the decisions, and the largest loss of the metric "
            f"is {largest_loss:.4f}, in {len(measurement.items)} perturbations"
        )
        reason += f" (on {measurement.rows} rows)"
        return self.verdict("fail" if violations else "pass", reason, figures)

    def _measure_change(
        self,
        context: EvaluationContext,
        rows: pd.DataFrame,
        before: Values,
        perturbation: Perturbation,
    ) -> Item:
        """Return flips, loss and impossible predictions of one perturbation, or the model's problem."""
        kind, column, values = perturbation
        item: dict[str, Figure | None] = {"kind": kind, "column": column, "problem": None}
        try:
            after = predict_checked(self.use_case, context.model, rows.assign(**{column: values}))
        except ModelError as error:
            return item | {"problem": str(error), "flips": None, "loss": None, "outside": None}
        return item | {
            "flips": float(self._flips(before, after, context.threshold).mean()),
            "loss": self._loss(before, after, rows[TARGET]),
            "outside": int(np.count_nonzero(outside_range(after, self.use_case.prediction_range))),
        }

    def _flips(self, before: Values, after: Values, threshold: float) -> npt.NDArray[np.bool_]:
        """Return for each row whether its decision changed."""
        if self.use_case.task == "multiclass":
            return np.asarray(after.argmax(axis=1) != before.argmax(axis=1))
        if self.use_case.task == "binary":
            return np.asarray((after >= threshold) != (before >= threshold))
        if self.use_case.task == "anomaly" and self.declared.tolerance is None:
            # A row is flagged above 0.
            return np.asarray((after > 0) != (before > 0))
        return np.asarray(np.abs(after - before) > (self.declared.tolerance or np.inf))

    def _loss(self, before: Values, after: Values, target: pd.Series[Any]) -> float | None:
        """Return by how much the use case's metric gets worse; None where it is undefined."""
        metric = self.use_case.metric
        metric_before = compute_metrics(self.use_case, before, target, only={metric}).get(metric)
        metric_after = compute_metrics(self.use_case, after, target, only={metric}).get(metric)
        if metric_before is None or metric_after is None:
            return None
        if is_greater_better(metric):
            return metric_before - metric_after
        return metric_after - metric_before


class StandardRobustnessGate(RobustnessGate):
    """Predictions of missing and unseen values, and of a little noise, stay possible and change little."""

    def __init__(self, declared: StandardRobustness, use_case: UseCase) -> None:
        limits = declared.model_dump(include={"severity", "maximum_flips", "rows"})
        super().__init__(Robustness(missing=use_case.features, **limits), use_case)

    def measure(self, context: EvaluationContext) -> Measurement:
        """Return what perturbations change that follow from the training rows."""
        changes = perturbed_columns(context.train.frame[list(self.use_case.features)])
        if self.use_case.task == "regression":
            # Of a constant target, there is no tolerance, and nothing flips.
            changes["tolerance"] = FLIP_SHARE * float(np.std(context.train.target)) or None
        self.declared = self.declared.model_copy(update=changes)
        return super().measure(context)


def perturbed_columns(train: pd.DataFrame) -> dict[str, Any]:
    """
    Return the perturbations of features, by the fields of `Robustness`.

    Columns with missing values are tried without a value, texts with an unseen one, and numbers with noise.
    """
    numbers = [
        str(name)
        for name, column in train.items()
        if pd.api.types.is_float_dtype(column) and column.nunique() > 1
    ]
    texts = [str(name) for name, column in train.items() if not pd.api.types.is_numeric_dtype(column)]
    texts = [name for name in texts if train[name].map(lambda value: isinstance(value, str)).any()]
    return {
        "noise": {name: NOISE * float(train[name].std()) for name in numbers},
        "missing": tuple(str(name) for name, column in train.items() if column.isna().any()),
        "unseen": tuple(texts),
        "extremes": (),
    }


def _perturb(gate: Robustness, train: pd.DataFrame, rows: pd.DataFrame) -> Iterator[Perturbation]:
    """
    Yield the declared perturbations of `rows`; the extremes are relative to the range in `train`.

    Raises
    ------
    DataError
        If noise or extremes are declared for a column that is not numeric.
    """
    texts = [name for name in (*gate.noise, *gate.extremes) if not pd.api.types.is_numeric_dtype(train[name])]
    if texts:
        raise DataError(
            f"{', '.join(texts)} is not numeric, and has neither noise nor extremes. Declare it under "
            "`missing` or `unseen` of the gate robustness."
        )
    random = np.random.default_rng(0)
    for column, error in gate.noise.items():
        noisy = rows[column] + random.uniform(-error, error, len(rows))
        if pd.api.types.is_integer_dtype(rows[column]):
            noisy = noisy.round().astype(rows[column].dtype)
        yield Perturbation("noise", column, noisy)
    for column in gate.missing:
        missing = np.nan if pd.api.types.is_numeric_dtype(rows[column]) else None
        yield Perturbation("missing", column, missing)
    for column in gate.unseen:
        yield Perturbation("unseen", column, UNSEEN)
    for column in gate.extremes:
        for value in _extremes(train[column].dropna()):
            yield Perturbation("extreme", column, value)


def _extremes(values: pd.Series[Any]) -> tuple[float, ...]:
    """Return a value far below and one far above all `values`, within the bounds of their type."""
    if values.empty:
        return ()
    is_integer = pd.api.types.is_integer_dtype(values)
    as_python = int if is_integer else float
    lowest = as_python(values.min())
    highest = as_python(values.max())
    distance = EXTREME_RANGES * (highest - lowest)
    if not distance:
        # Of a constant column.
        distance = EXTREME_RANGES * max(abs(highest), 1)
    limits = np.iinfo(np.int64) if is_integer else np.finfo(np.float64)
    return max(lowest - distance, as_python(limits.min)), min(highest + distance, as_python(limits.max))


def _violations(gate: Robustness, item: Item) -> Iterator[str]:
    """Yield a message for each limit that a perturbation exceeds."""
    description = _describe_perturbation(gate, item)
    if item["problem"]:
        yield f"{description}: {item['problem']}"
    if item["outside"]:
        yield f"{description} moves {item['outside']} predictions out of the declared range"
    if item["kind"] == "noise" and float(item["flips"] or 0) > gate.maximum_flips:
        yield (f"{description} flips {item['flips']:.1%} of the decisions, {gate.maximum_flips:.1%} allowed")
    if gate.maximum_loss is not None and float(item["loss"] or 0) > gate.maximum_loss:
        yield f"{description} costs {item['loss']:.4f} of the metric, {gate.maximum_loss:g} allowed"


def _describe_perturbation(gate: Robustness, item: Item) -> str:
    kind = str(item["kind"])
    column = str(item["column"])
    if kind == "noise":
        size = f" of {gate.noise[column]:g}" if column in gate.noise else ""
        return f"noise{size} in {column}"
    articles = {"missing": "a", "unseen": "an", "extreme": "an"}
    return f"{articles[kind]} {kind} {column}"
