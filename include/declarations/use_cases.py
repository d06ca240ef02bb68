"""What a team declares of one model."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from include.declarations.base import Declaration, Name, Share, require_known, require_unique
from include.declarations.costs import AnyCost
from include.declarations.gates import METRICS, AnyGate, Metric, Task
from include.declarations.monitoring import DriftPolicy, RetrainPolicy, Slo
from include.declarations.release import Rollout
from include.declarations.serving import Module, Serving
from include.declarations.training import Training, Tuning

ONE_NUMBER = frozenset(
    {"calibration", "fairness", "robustness", "leakage", "golden_predictions", "business_value"}
)


class Label(Declaration):
    """
    What is predicted: a column of a dataset that lands later, or whether it exceeds `above`.

    Of several `classes`, in order, it is the one that the column names, or between which of the `bands` it
    lies: `bands=(15, 60)` makes three, up to 15, above 15, and above 60.
    A day is learnt from once `minimum_completeness` of its rows have their label.
    """

    dataset: Name
    column: str
    above: float | None = None
    bands: tuple[float, ...] = ()
    classes: tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")], ...] = ()
    minimum_completeness: Share = 0.9

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        require_unique(self.classes, "classes")
        if self.above is not None and self.classes:
            raise ValueError("above makes two classes without a name: declare either above, or classes")
        if self.bands and list(self.bands) != sorted(set(self.bands)):
            raise ValueError(f"bands must rise, not {self.bands}")
        if self.bands and len(self.classes) != len(self.bands) + 1:
            raise ValueError(f"{len(self.bands)} bands part {len(self.bands) + 1} classes: name each")
        return self


class Split(Declaration):
    """
    Days at the end of the data, in time order: train < validation < test.

    `embargo_days` are left out before validation and before test: on the first of those days the labels of
    the last days before were not known yet. By default as many as the label lags.
    """

    validation_days: int = Field(default=14, ge=0)
    test_days: int = Field(default=14, ge=1)
    embargo_days: int | None = Field(default=None, ge=0)
    minimum_rows: int = Field(default=1_000, ge=1)


class UseCase(Declaration):
    """
    One model, from its features to its callers; its module has `build_model()`, an untrained estimator.

    With `tuning`, `build_model(**parameters)` takes what is chosen, and has defaults of its own.
    `cost` is what a wrong prediction costs the owner; `naive_by` names columns of the feature view, such as
    the hour: the naive forecast, of doing without a model, is the usual target of each of their values.
    `code` names further modules and packages of your own that the model is made of, as they are imported;
    they travel inside the model, as the module of its declaration does.
    """

    name: Name
    owner: str
    description: str
    task: Task
    feature_view: Name
    features: tuple[str, ...] = Field(min_length=1)
    label: Label
    metric: Metric
    gates: tuple[AnyGate, ...] = Field(min_length=1)
    prediction_range: tuple[float, float]
    cost: AnyCost | None = None
    baseline_by: tuple[str, ...] = ()
    split: Split = Split()
    training: Training = Training()
    tuning: Tuning | None = None
    serving: Serving = Serving()
    code: tuple[Module, ...] = ()
    rollout: Rollout = Rollout()
    drift: DriftPolicy = DriftPolicy()
    retrain: RetrainPolicy = RetrainPolicy()
    slo: Slo = Slo()

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        require_unique(self.features, "features")
        require_known([self.metric], METRICS[self.task], f"metric of a {self.task} task")
        if self.task == "binary" and self.label.above is None:
            raise ValueError("label.above: a classifier needs the value above which the label is true")
        if self.task == "multiclass" and len(self.label.classes) < 3:
            raise ValueError("label.classes: a multiclass needs three or more; for two take binary")
        if self.task != "multiclass" and self.label.classes:
            raise ValueError(f"label.classes: a {self.task} task has none")
        if self.prediction_range[0] >= self.prediction_range[1]:
            raise ValueError(f"prediction_range {self.prediction_range} is empty")
        self._can_be_trained()
        self._can_be_judged()
        return self

    @property
    def auxiliary_columns(self) -> tuple[str, ...]:
        """The columns of the feature view that are no features, but that an evaluation looks at."""
        wanted = (*self.baseline_by, *(column for gate in self.gates for column in gate.columns))
        return tuple(dict.fromkeys(column for column in wanted if column not in self.features))

    def _can_be_judged(self) -> None:
        require_unique(self.baseline_by, "naive_by")
        require_unique((f"{gate.name} ({gate.severity})" for gate in self.gates), "gates")
        for gate in self.gates:
            require_known(gate.required_metrics, METRICS[self.task], f"metric of a {self.task} task")
            gate.check(self)
        one_number = [gate.name for gate in self.gates if gate.kind in ONE_NUMBER]
        if self.task == "multiclass" and (one_number or self.cost is not None):
            raise ValueError(
                f"{', '.join(one_number) or 'cost'}: is about one number a row, and a multiclass answers a "
                "probability for each class; use Threshold, Improvement or Overfitting"
            )
        if self.cost is not None and (self.cost.kind == "error") != (self.task == "regression"):
            raise ValueError(f"cost: {type(self.cost).__name__} is not for a {self.task} task")

    def _can_be_trained(self) -> None:
        if self.tuning is not None and self.tuning.metric is not None:
            require_known([self.tuning.metric], METRICS[self.task], f"tuning.metric of a {self.task} task")
        if self.training.class_weights is not None and self.task == "regression":
            raise ValueError("training.class_weights: a regression has no classes")
        classes, weights = len(self.label.classes) or 2, self.training.class_weights
        if isinstance(weights, tuple) and len(weights) != classes:
            raise ValueError(f"training.class_weights: give one weight for each of the {classes} classes")
        if self.training.early_stopping is not None and not self.split.validation_days:
            raise ValueError("training.early_stopping: declare split.validation_days, which it looks at")
