"""Use cases: one model, from its features to its callers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Self

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from pydantic import AfterValidator, Field, StringConstraints, model_validator

from include.declarations.base import Declaration, Name, Tag, require_known, require_unique
from include.declarations.costs import AnyCost
from include.declarations.gates import METRICS, AnyGate, Metric, Task
from include.declarations.labels import UNDECLARED, Label
from include.declarations.metrics import bounds_of, require_metrics
from include.declarations.monitoring import (
    Alerts,
    AnnotationQueue,
    DriftPolicy,
    RetrainPolicy,
    Schedules,
    Slo,
)
from include.declarations.release import Rollout
from include.declarations.risk import Risk
from include.declarations.serving import Module, Serving
from include.declarations.training import Resources, Split, Training, Tuning

if TYPE_CHECKING:
    from include.declarations.fallback import Fallback

# Gates that need one number per row.
SCALAR_GATES = frozenset({"fairness", "golden_predictions"})

# Gates that compare with labels of the rows.
LABEL_GATES = frozenset({"calibration", "fairness", "leakage", "business_value"})

# Costs of wrong predictions, by task.
COST_KINDS = {"binary": "decision", "multiclass": "class", "regression": "error"}

BINARY_CLASSES = 2
MIN_RANDOM_FOLDS = 2
# SageMaker's names have 63 characters, and ours add the environment, and a digest to configurations.
MAX_REMOTE_NAME = 35
# Metrics of a rollout that need the predictions.
PREDICTION_METRICS = ("prediction_shift", "constant_predictions", "prediction_distribution")
MIN_CLASSES = 3


def _require_package(text: str) -> str:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise ValueError(f"{text!r} names no package: write 'name' or 'name>=1.2' ({error})") from error
    if requirement.url is not None:
        raise ValueError(f"{text!r} is an address: name the package, and lock its address in requirements.in")
    return text


def _package_name(text: str) -> str:
    return canonicalize_name(Requirement(text).name)


# Of pip, such as `xgboost>=2`.
Package = Annotated[str, AfterValidator(_require_package)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=10)]


class UseCase(Declaration):
    """
    One model, from its features to its callers; its module defines `build_model()`, an untrained estimator.

    `features` are columns of `feature_view`, or of several `feature_views`: a column that only one of them
    has by its name, others as `view.column`. A model is asked about the rows of the first view; features of
    the others are joined by their entity, as of the time of the prediction. The features in `request` are
    always sent by the caller; in training they are columns of the rows, with `label.time` of the label's
    dataset. A function `request_features(frame)` of the module computes what the estimator gets from the
    features, in training and serving.

    An `anomaly` task has no label. Its estimator has `decision_function`, as an isolation forest has; its
    prediction is the negative of it, and a row is flagged if that is above 0. `contamination` is the share of
    rows that is to be flagged; it is set on an estimator with such a parameter.

    The use case is judged by `metric`; further `metrics` are measured and shown, such as `f1:0.3`, F1 where a
    probability of 0.3 is positive, or `include.my.metrics:name`, a function of yours (target, predictions,
    weights) with an attribute `greater_is_better`.

    With `tuning`, `build_model(**parameters)` takes the tuned parameters and has a default for each. `cost`
    is the cost of a wrong prediction: `DecisionCost` of a binary task, `ClassCost` of a multiclass task,
    `ErrorCost` of a regression. `baseline_by` names columns of the feature view, such as the hour: the
    baseline prediction is the mean target of each combination of their values in the training rows.
    `prediction_range` are the least and the greatest prediction that are possible. A model whose features
    determine the label in the data is refused; `allowed_determinants` names those that are known in time,
    each with the reason, which its certificate states. `code` names further modules and packages that the
    model is made of, as they are imported; they are packaged with the model, as the module of its
    declaration is. `requirements` are the packages of the estimator, such as `xgboost>=2`: they must be
    installed, and are recorded with each model. `resources` are those of the tasks that fit or load a model.
    `risk` is what a wrong prediction can do; the limits of the standard gates follow from it.
    """

    name: Name
    owner: str
    description: str
    tags: tuple[Tag, ...] = ()
    task: Task
    feature_view: Name = ""
    feature_views: tuple[Name, ...] = ()
    features: tuple[str, ...] = Field(min_length=1)
    request: tuple[str, ...] = ()
    label: Label = UNDECLARED
    metric: Metric
    metrics: tuple[Metric, ...] = ()
    gates: tuple[AnyGate, ...] = ()
    prediction_range: tuple[float, float]
    risk: Risk | None = None
    contamination: float | None = Field(default=None, gt=0, le=0.5)
    cost: AnyCost | None = None
    baseline_by: tuple[str, ...] = ()
    allowed_determinants: Mapping[str, Reason] = {}
    split: Split = Split()
    training: Training = Training()
    tuning: Tuning | None = None
    serving: Serving = Serving()
    code: tuple[Module, ...] = ()
    requirements: tuple[Package, ...] = ()
    resources: Resources = Resources()
    rollout: Rollout = Rollout()
    drift: DriftPolicy = DriftPolicy()
    retrain: RetrainPolicy = RetrainPolicy()
    slo: Slo = Slo()
    schedules: Schedules = Schedules()
    annotation: AnnotationQueue = AnnotationQueue()
    alerts: Alerts = Alerts()

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        self._complete_views()
        self._complete_label()
        require_unique(self.features, "features")
        require_unique(map(_package_name, self.requirements), "requirements")
        require_known(self.request, self.features, "request")
        require_known(self.allowed_determinants, self.features, "allowed_determinants")
        self._require_metrics((self.metric,), "metric")
        self._require_metrics(self.metrics, "metrics")
        if self.prediction_range[0] >= self.prediction_range[1]:
            raise ValueError(f"prediction_range {self.prediction_range} is empty")
        self._check_anomaly()
        self._check_label()
        self._check_training()
        self._check_target()
        self._check_gates()
        self._check_cost()
        self._check_label_levels()
        self.check_fallback(self.serving.fallback)
        return self

    @property
    def auxiliary_columns(self) -> tuple[str, ...]:
        """Columns of the feature view that are no features but that the baseline or a gate needs."""
        columns = list(self.baseline_by)
        for gate in self.gates:
            columns.extend(gate.columns)
        if self.cost is not None:
            columns.extend(self.cost.row_columns)
        return tuple(dict.fromkeys(column for column in columns if column not in self.features))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of their codes; none of a regression or an anomaly task."""
        return () if self.task in {"regression", "anomaly"} else self.label.class_names

    @property
    def measured_metrics(self) -> frozenset[str]:
        """Metrics that are measured: those of the task, and each that is declared."""
        declared = {self.metric, *self.metrics}
        if self.tuning is not None and self.tuning.metric is not None:
            declared.add(self.tuning.metric)
        for gate in self.gates:
            declared.update(gate.measured_metrics)
        return METRICS[self.task] | declared

    def _require_metrics(self, metrics: tuple[str, ...], field: str) -> None:
        require_metrics(metrics, self.task, len(self.class_names), field)

    def _complete_views(self) -> None:
        if not self.feature_view and not self.feature_views:
            raise ValueError("feature_view: name the feature view, or several in feature_views")
        require_unique(self.feature_views, "feature_views")
        views = self.feature_views or (self.feature_view,)
        if self.feature_view not in {"", views[0]}:
            raise ValueError("feature_view: declare feature_view or feature_views, not both")
        # The model is frozen: only object.__setattr__ can complete it.
        object.__setattr__(self, "feature_views", views)
        object.__setattr__(self, "feature_view", views[0])

    def _complete_label(self) -> None:
        absent = Label.absent(self.feature_view)
        if self.task == "anomaly" and self.label not in {UNDECLARED, absent}:
            raise ValueError("label: an anomaly task has none; remove it, or declare a binary task")
        if self.task != "anomaly" and self.label in {UNDECLARED, absent}:
            raise ValueError(f"label: a {self.task} task needs one")
        if self.task == "anomaly":
            object.__setattr__(self, "label", absent)

    def _check_anomaly(self) -> None:
        """Raise ValueError if something needs a label, or the contamination is not declared."""
        if self.task != "anomaly":
            if self.contamination is not None:
                raise ValueError("contamination: only for an anomaly task; remove it")
            return
        if self.contamination is None:
            raise ValueError("contamination: declare the share of rows that an anomaly task flags, above 0")
        fields = {
            "tuning": self.tuning,
            "training.class_weights": self.training.class_weights,
            "training.early_stopping": self.training.early_stopping,
            "training.final_refit": self.training.final_refit,
            "request": self.request,
            "allowed_determinants": self.allowed_determinants,
            "serving.runtime onnx": self.serving.runtime == "onnx",
        }
        declared = [name for name, value in fields.items() if value]
        if declared:
            raise ValueError(f"{', '.join(declared)}: not for an anomaly task; remove it")
        unfit = [gate.name for gate in self.gates if gate.kind in LABEL_GATES]
        if unfit:
            raise ValueError(f"{', '.join(unfit)}: needs a label, and an anomaly task has none; remove it")

    def _check_label(self) -> None:
        form = self.label.form
        if self.task == "multiclass" and len(self.label.classes) < MIN_CLASSES:
            raise ValueError("label.classes: a multiclass task needs three or more; for two use binary")
        if self.task == "binary" and len(self.label.class_names) > BINARY_CLASSES:
            raise ValueError("label.classes: a binary task has two; for more use multiclass")
        if self.task == "regression" and form != "value":
            raise ValueError(f"label.{form}: a regression task has none")

    def _check_gates(self) -> None:
        require_unique(self.baseline_by, "baseline_by")
        require_unique((f"{gate.name} ({gate.severity})" for gate in self.gates), "gates")
        for gate in self.gates:
            self._require_metrics(gate.required_metrics, "metric")
            gate.check(self)
        scalar_gates = [gate.name for gate in self.gates if gate.kind in SCALAR_GATES]
        if self.task == "multiclass" and scalar_gates:
            raise ValueError(
                f"{', '.join(scalar_gates)}: needs one number per row, and a multiclass model predicts a "
                "probability per class; use Threshold, Improvement or Overfitting"
            )

    def _check_cost(self) -> None:
        if self.serving.decision and (self.cost is None or self.cost.kind == "error"):
            raise ValueError(
                "serving.decision: declare the cost of decisions, DecisionCost or ClassCost, from which they "
                "follow"
            )
        if self.serving.decision and not self.split.has_validation:
            name = "validation_days" if self.split.by == "time" else "validation_share"
            raise ValueError(f"serving.decision: the rule is chosen on them, so split.{name} must be above 0")
        if self.cost is None:
            return
        if COST_KINDS.get(self.task) != self.cost.kind:
            raise ValueError(f"cost: {type(self.cost).__name__} is not for a {self.task} task")
        self.cost.check(self.class_names)

    def _check_label_levels(self) -> None:
        """Raise ValueError if a label is promised without one, or a quality that is never missed or met."""
        slo = self.slo
        if self.task == "anomaly" and (slo.label_coverage is not None or slo.quality is not None):
            raise ValueError("slo: label_coverage and quality need a label, and an anomaly task has none")
        if slo.quality is None:
            return
        lowest, highest = bounds_of(self.metric, self.prediction_range)
        if not lowest < slo.quality < highest:
            raise ValueError(
                f"slo.quality: {self.metric} is from {lowest:g} to {highest:g}; {slo.quality:g} can never be "
                "missed, or never be kept"
            )

    def check_fallback(self, fallback: Fallback) -> None:
        """Raise ValueError if a fallback is not possible for the predictions of this use case."""
        if fallback.kind == "baseline" and self.task == "anomaly":
            raise ValueError("serving.fallback: an anomaly task has no baseline; declare another fallback")
        if fallback.value is None:
            return
        n_classes = len(self.class_names) if self.task == "multiclass" else 0
        values = fallback.value if isinstance(fallback.value, tuple) else (fallback.value,)
        if isinstance(fallback.value, tuple) != bool(n_classes) or len(values) != (n_classes or 1):
            form = f"{n_classes} probabilities" if n_classes else "one number"
            raise ValueError(f"serving.fallback: a constant of a {self.task} task is {form}")
        low, high = self.prediction_range
        if not all(low <= value <= high for value in values):
            raise ValueError(
                f"serving.fallback: {fallback.value} is not in prediction_range {low:g} to {high:g}"
            )

    def _check_training(self) -> None:
        if self.tuning is not None and self.split.by == "entity" and self.tuning.folds < MIN_RANDOM_FOLDS:
            raise ValueError("tuning.folds: rows that are split by entity need two or more folds")
        if self.tuning is not None and self.tuning.metric is not None:
            self._require_metrics((self.tuning.metric,), "tuning.metric")
        weights = self.training.class_weights
        if weights is not None and self.task == "regression":
            raise ValueError("training.class_weights: a regression has no classes")
        n_classes = len(self.class_names)
        if isinstance(weights, tuple) and len(weights) != n_classes:
            raise ValueError(f"training.class_weights: give one weight for each of the {n_classes} classes")
        if self.training.early_stopping is not None and not self.split.has_validation:
            name = "validation_days" if self.split.by == "time" else "validation_share"
            raise ValueError(f"training.early_stopping: needs split.{name} above 0")
        self._check_time_of_training()

    def _check_target(self) -> None:
        if self.serving.target == "local":
            return
        if len(self.name) > MAX_REMOTE_NAME or self.name.endswith("_"):
            raise ValueError(
                f"name: {self.name!r} can be no SageMaker endpoint: at most {MAX_REMOTE_NAME} "
                "characters are possible, and no underscore at the end"
            )
        unseen = [name for name in PREDICTION_METRICS if name not in self.rollout.advisory]
        if unseen:
            raise ValueError(
                f"rollout.advisory: add {', '.join(unseen)}, since SageMaker does not show predictions"
            )
        if self.rollout.count_mirrored:
            raise ValueError("rollout.count_mirrored: SageMaker has no shadow while two variants answer")

    def _check_time_of_training(self) -> None:
        """Raise ValueError if a setting of the training needs days that the split does not have."""
        training = self.training
        if self.split.by == "entity":
            if training.half_life_days is not None:
                raise ValueError(
                    "training.half_life_days: rows that are split by entity have no age; remove it"
                )
            if training.last_days is not None:
                raise ValueError("training.last_days: rows that are split by entity have no days; remove it")
        elif training.final_refit is not None and training.final_refit.folds > self.split.test_days:
            raise ValueError("training.final_refit.folds: there are fewer test days; declare fewer folds")
