"""Gates on a candidate's behaviour: slices, perturbed rows, leaking features and known rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from include.declarations.base import Declaration, MaximumShare, Name, require_known, require_unique
from include.declarations.gates.base import Gate, JudgedUseCase
from include.declarations.metrics import Metric, require_metrics, span_of

Rate = Literal["selection_rate", "true_positive_rate", "false_positive_rate"]
RATES: tuple[Rate, ...] = ("selection_rate", "true_positive_rate", "false_positive_rate")


class Fairness(Gate):
    """
    No metric differs by more than `maximum_gap` between two slices by `column`, or is below `minimum_ratio`
    of its largest value (the four-fifths rule is 0.8).

    With two columns, the slices are the combinations of their values. A number with many values is divided
    into `bins` of equally many training rows. A slice with fewer than `minimum_support` rows for a metric is
    counted, and not judged. The verdict is inconclusive if a limit is passed, but not with `confidence` for
    all pairs of slices together. Of two negative values, the ratio is that of their sizes; of values with
    different signs it is 0.
    """

    kind: Literal["fairness"] = "fairness"
    column: str | tuple[str, str]
    metrics: tuple[Rate | Metric, ...] = Field(min_length=1)
    maximum_gap: float | None = Field(default=None, gt=0)
    minimum_ratio: float | None = Field(default=None, gt=0, le=1)
    minimum_support: int = Field(default=100, ge=1)
    bins: int = Field(default=4, ge=2, le=50)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)

    @property
    def name(self) -> str:
        """Kind and columns."""
        return f"fairness_{'_'.join(self.columns)}"

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the slices."""
        return (self.column,) if isinstance(self.column, str) else self.column

    @property
    def measured_metrics(self) -> tuple[str, ...]:
        """Metrics of the slices that are no rates."""
        return tuple(metric for metric in self.metrics if metric not in RATES)

    @property
    def by(self) -> str:
        """Columns of the slices, in words."""
        return " and ".join(self.columns)

    def check(self, use_case: JudgedUseCase) -> None:
        """Raise ValueError if the task does not have a metric."""
        rates = [metric for metric in self.metrics if metric in RATES]
        if use_case.task != "binary" and rates:
            raise ValueError(
                f"{self.name}: metric of a {use_case.task} task: unknown {', '.join(rates)}; these are "
                "rates of a binary task"
            )
        n_classes = len(use_case.class_names)
        require_metrics(self.measured_metrics, use_case.task, n_classes, f"{self.name}: metric")
        self._require_gap(use_case.prediction_range)

    @model_validator(mode="after")
    def _can_fire(self) -> Self:
        require_unique(self.metrics, "metrics")
        require_unique(self.columns, "column")
        if self.maximum_gap is None and self.minimum_ratio is None:
            raise ValueError("give maximum_gap or minimum_ratio, or the gate can never fire")
        self._require_gap(None)
        return self

    def _require_gap(self, prediction_range: tuple[float, float] | None) -> None:
        """Raise ValueError if two slices can never differ by more than `maximum_gap` in a metric."""
        for metric in self.metrics if self.maximum_gap is not None else ():
            span = 1.0 if metric in RATES else span_of(metric, prediction_range)
            if self.maximum_gap is not None and self.maximum_gap >= span:
                raise ValueError(
                    f"maximum_gap={self.maximum_gap:g}: no two slices differ by more than {span:g} in "
                    f"{metric}, so the gate can never fire: declare a smaller maximum_gap"
                )


class Robustness(Gate):
    """
    Perturbed rows change the predictions little, one column at a time.

    The perturbations are `noise` within a column's measurement error (in its unit), `missing` values,
    `unseen` categories, and `extremes` (far outside the training rows). Noise flips at most `maximum_flips`
    of the decisions; a prediction that is a number flips when it moves by more than `tolerance`. The loss of
    the use case's metric is at most `maximum_loss`, and every prediction stays in the declared range. At most
    `rows` test rows are predicted, always the same ones.
    """

    kind: Literal["robustness"] = "robustness"
    noise: Mapping[str, float] = {}
    missing: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    extremes: tuple[str, ...] = ()
    maximum_flips: MaximumShare = 0.05
    maximum_loss: float | None = Field(default=None, ge=0)
    tolerance: float | None = Field(default=None, gt=0)
    rows: int = Field(default=2_000, ge=50, le=100_000)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that are perturbed."""
        return tuple(dict.fromkeys((*self.noise, *self.missing, *self.unseen, *self.extremes)))

    def check(self, use_case: JudgedUseCase) -> None:
        """Raise ValueError if a column is no feature, or a limit is missing or can never be exceeded."""
        require_known(self.columns, use_case.features, self.name)
        self._check_flips(use_case)
        span = span_of(use_case.metric, use_case.prediction_range)
        if self.maximum_loss is not None and self.maximum_loss >= span:
            raise ValueError(
                f"robustness: maximum_loss={self.maximum_loss:g}: no two values of {use_case.metric} differ "
                f"by more than {span:g}, so it can never fire: declare a smaller maximum_loss"
            )

    def _check_flips(self, use_case: JudgedUseCase) -> None:
        """Raise ValueError if the limits of flipped decisions are incomplete, or decide nothing."""
        has_other_limit = self.maximum_flips != type(self).model_fields["maximum_flips"].default
        if not self.noise and (has_other_limit or self.tolerance is not None):
            name = "maximum_flips" if has_other_limit else "tolerance"
            raise ValueError(
                f"robustness: {name}={getattr(self, name):g}: only noise is judged by flips, so it can never "
                f"fire: declare noise, or remove {name}"
            )
        if not self.noise:
            return
        if use_case.task not in {"regression", "anomaly"}:
            if self.tolerance is not None:
                raise ValueError(
                    f"robustness: tolerance={self.tolerance:g}: a flip of a {use_case.task} task is another "
                    "decision, however far the prediction moves; remove tolerance"
                )
            return
        if self.tolerance is None:
            raise ValueError(
                f"robustness: give a tolerance, by which noise may move a prediction of the {use_case.task}"
            )
        lowest, highest = use_case.prediction_range
        if self.tolerance >= highest - lowest:
            raise ValueError(
                f"robustness: tolerance={self.tolerance:g}: no two predictions in prediction_range differ by "
                f"more than {highest - lowest:g}, so nothing can flip: declare a smaller tolerance"
            )

    @model_validator(mode="after")
    def _can_fire(self) -> Self:
        if not self.columns:
            raise ValueError(
                "name columns for noise, missing, unseen or extremes, or the gate can never fire"
            )
        wrong = sorted(column for column, error in self.noise.items() if error <= 0)
        if wrong:
            raise ValueError(f"noise: the measurement error of {', '.join(wrong)} must be above 0")
        return self


class Leakage(Gate):
    """
    No single feature predicts the target too well.

    Alone it reaches at most `maximum` on the test rows, as ROC AUC of a classifier or R² of a regression,
    when it is binned and averaged on training rows.

    `exempt` names features that are known to be that good without a leak.
    """

    kind: Literal["leakage"] = "leakage"
    maximum: float = Field(gt=0.5, lt=1)
    exempt: tuple[str, ...] = ()

    def check(self, use_case: JudgedUseCase) -> None:
        """Raise ValueError if an exempt name is no feature, or if every feature is exempt."""
        require_known(self.exempt, use_case.features, "leakage: exempt")
        if set(self.exempt) == set(use_case.features):
            raise ValueError(
                f"leakage: exempt={self.exempt}: these are all features, so maximum={self.maximum:g} can "
                "never fire: exempt fewer, or name leakage in the risk's switched_off with the reason"
            )


class GoldenCase(Declaration):
    """A row whose prediction is known to lie from `minimum` to `maximum`."""

    name: Name
    row: Mapping[str, bool | int | float | str | None]
    minimum: float | None = None
    maximum: float | None = None

    @model_validator(mode="after")
    def _can_fail(self) -> Self:
        if self.minimum is None and self.maximum is None:
            raise ValueError(f"{self.name}: give a minimum or a maximum, or the case can never fail")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"{self.name}: minimum {self.minimum} is above maximum {self.maximum}")
        return self

    def check(self, prediction_range: tuple[float, float]) -> None:
        """Raise ValueError if no prediction in the range passes, or if none fails."""
        lowest, highest = prediction_range
        minimum = lowest if self.minimum is None else self.minimum
        maximum = highest if self.maximum is None else self.maximum
        expected = f"golden_predictions: {self.name}: predictions lie in {lowest:g} to {highest:g}, and "
        if minimum > highest or maximum < lowest:
            raise ValueError(f"{expected}none passes {minimum:g} to {maximum:g}: correct the bounds")
        if minimum <= lowest and maximum >= highest:
            raise ValueError(
                f"{expected}all pass {minimum:g} to {maximum:g}, so the case can never fail: declare a "
                "narrower bound"
            )


class GoldenPredictions(Gate):
    """Rows whose prediction is known to lie within bounds."""

    kind: Literal["golden_predictions"] = "golden_predictions"
    cases: tuple[GoldenCase, ...] = Field(min_length=1)

    def check(self, use_case: JudgedUseCase) -> None:
        """Raise ValueError if the columns of a row are not exactly the features."""
        require_unique([case.name for case in self.cases], "golden_predictions")
        for case in self.cases:
            require_known(case.row, use_case.features, f"golden_predictions: {case.name}")
            lacking = [feature for feature in use_case.features if feature not in case.row]
            if lacking:
                raise ValueError(f"golden_predictions: {case.name} lacks {', '.join(lacking)}")
            case.check(use_case.prediction_range)
