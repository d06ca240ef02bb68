"""What a team declares; everything else is derived from it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Duration = Annotated[timedelta, Field(ge=timedelta(0))]
Severity = Literal["critical", "warning", "info"]
Environment = Literal["dev", "uat", "prod"]
Task = Literal["classification", "regression"]
Metric = Literal["roc_auc", "average_precision", "log_loss", "brier", "rmse", "mae", "r2"]

METRICS: dict[Task, frozenset[Metric]] = {
    "classification": frozenset({"roc_auc", "average_precision", "log_loss", "brier"}),
    "regression": frozenset({"rmse", "mae", "r2"}),
}
GREATER_IS_BETTER: frozenset[Metric] = frozenset({"roc_auc", "average_precision", "r2"})


class _Declaration(BaseModel):
    # A limit that is not a number would be a gate that never fires.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Column(_Declaration):
    """One column: its type, and what its values may be."""

    name: Name
    dtype: Literal["string", "integer", "number", "boolean", "timestamp"]
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] | None = None
    severity: Severity = "critical"

    @model_validator(mode="after")
    def _bounds_are_possible(self) -> Self:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}")
        return self


class FileSource(_Declaration):
    """Files that land below the landing folder, one per partition; `{partition}` is the day as YYYY-MM-DD."""

    path: str = Field(pattern=r".*\{partition\}.*")
    format: Literal["csv", "parquet"] = "csv"


class Dataset(_Declaration):
    """
    A table that arrives in daily partitions.

    `lag_days` is how long after its day a partition lands; `volume` bounds its rows;
    more than `quarantine_limit` of its rows refused refuses the partition.
    """

    name: Name
    owner: str
    description: str
    source: FileSource
    columns: tuple[Column, ...] = Field(min_length=1)
    key: tuple[str, ...] = Field(min_length=1)
    first_partition: date
    last_partition: date | None = None
    lag_days: int = Field(default=0, ge=0)
    volume: tuple[int, int] = (1, 10_000_000)
    quarantine_limit: Share = 0.01
    landing_timeout: Duration = timedelta(hours=6)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        _unique([column.name for column in self.columns], "columns")
        _known(self.key, {column.name for column in self.columns}, "key")
        if self.volume[0] > self.volume[1]:
            raise ValueError(f"volume: the lower bound {self.volume[0]} is above the upper {self.volume[1]}")
        if self.last_partition and self.last_partition < self.first_partition:
            raise ValueError("last_partition is before first_partition")
        return self


class Source(_Declaration):
    """A dataset that a feature view reads: its own day, and `lookback_days` before it."""

    dataset: Name
    lookback_days: int = Field(default=0, ge=0, le=366)


class FeatureView(_Declaration):
    """
    Features of one entity, built per day by the module's `build(frames, day)`.

    `time` is the event's time, and a feature counts only if it was known `horizon` before it.
    """

    name: Name
    owner: str
    description: str
    sources: tuple[Source, ...] = Field(min_length=1)
    entity: str
    time: str
    horizon: Duration = timedelta(0)
    columns: tuple[Column, ...] = Field(min_length=1)
    volume: tuple[int, int] = (1, 10_000_000)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        names = {column.name for column in self.columns}
        _unique([column.name for column in self.columns], "columns")
        _unique([source.dataset for source in self.sources], "sources")
        _known((self.entity,), names, "entity")
        _known((self.time,), names, "time")
        return self


class Label(_Declaration):
    """What is predicted: a column of a dataset that lands later, or whether it exceeds `above`."""

    dataset: Name
    column: str
    above: float | None = None


class Split(_Declaration):
    """Days at the end of the data, in time order: train < validation < test."""

    validation_days: int = Field(default=14, ge=0)
    test_days: int = Field(default=14, ge=1)
    minimum_rows: int = Field(default=1_000, ge=1)


class Gate(_Declaration):
    """What a candidate must show; `block` stops it, `warn` is written on its certificate."""

    severity: Literal["block", "warn", "info"] = "block"


class Threshold(Gate):
    """A metric on the test rows is at least `minimum`, at most `maximum`."""

    kind: Literal["threshold"] = "threshold"
    metric: Metric
    minimum: float | None = None
    maximum: float | None = None

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if self.minimum is None and self.maximum is None:
            raise ValueError("give a minimum or a maximum, or the gate can never fire")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}: nothing can pass")
        if self.metric in {"roc_auc", "average_precision", "r2"} and (self.minimum or 0) > 1:
            raise ValueError(f"{self.metric} is never above 1, minimum {self.minimum} is impossible")
        if self.metric != "r2" and self.maximum is not None and self.maximum < 0:
            raise ValueError(f"{self.metric} is never below 0, maximum {self.maximum} is impossible")
        return self


class Improvement(Gate):
    """
    The challenger is better than the champion on the same unseen rows by `minimum_gain`, with `confidence`.

    Every attempt since the last promotion adds `price_per_attempt` to the gain that is asked for.
    """

    kind: Literal["improvement"] = "improvement"
    metric: Metric
    minimum_gain: float = Field(default=0.0, ge=0)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    price_per_attempt: float = Field(default=0.0, ge=0)


class Overfitting(Gate):
    """The metric on the training rows is not better than on the test rows by more than `maximum_gap`."""

    kind: Literal["overfitting"] = "overfitting"
    metric: Metric
    maximum_gap: float = Field(gt=0)


AnyGate = Annotated[Threshold | Improvement | Overfitting, Field(discriminator="kind")]


class Rollout(_Declaration):
    """How a candidate reaches its callers, and what stops it on the way."""

    steps: tuple[Annotated[int, Field(gt=0, le=100)], ...] = (2, 25, 75, 100)
    shadow_share: Share = 1.0
    bake: Duration = timedelta(minutes=10)
    patience: Duration = timedelta(hours=2)
    minimum_requests: int = Field(default=200, ge=1)
    maximum_error_rate: Share = 0.01
    maximum_latency_ratio: float = Field(default=2.0, gt=1)
    maximum_prediction_shift: Share = 0.25
    approval: tuple[Environment, ...] = ("uat", "prod")

    @model_validator(mode="after")
    def _ends_at_everything(self) -> Self:
        if list(self.steps) != sorted(set(self.steps)) or self.steps[-1:] != (100,):
            raise ValueError(f"steps must rise and end at 100 %, not {self.steps}")
        return self


class DriftPolicy(_Declaration):
    """When the distribution of the inputs counts as drifted."""

    columns_share: Share = 0.5
    window_days: int = Field(default=7, ge=1)
    maximum_rows: int = Field(default=5_000, ge=100, le=100_000)
    minimum_rows: int = Field(default=200, ge=1)


class RetrainPolicy(_Declaration):
    """When signals become a retraining: `k` of the last `n` checks, and not sooner than `cooldown`."""

    k: int = Field(default=2, ge=1)
    n: int = Field(default=3, ge=1)
    cooldown: Duration = timedelta(days=1)
    budget_per_month: int = Field(default=8, ge=0)

    @model_validator(mode="after")
    def _can_fire(self) -> Self:
        if self.k > self.n:
            raise ValueError(f"k={self.k} of n={self.n} checks can never be reached")
        return self


class Slo(_Declaration):
    """What callers were promised over `window_days`."""

    availability: Share = 0.999
    latency_p99_ms: float = Field(default=250.0, gt=0)
    window_days: int = Field(default=28, ge=1)


class UseCase(_Declaration):
    """One model, from its features to its callers; its module has `build_model()`, an untrained estimator."""

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
    split: Split = Split()
    rollout: Rollout = Rollout()
    drift: DriftPolicy = DriftPolicy()
    retrain: RetrainPolicy = RetrainPolicy()
    slo: Slo = Slo()

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        _unique(self.features, "features")
        for metric in (self.metric, *(gate.metric for gate in self.gates)):
            _known((metric,), METRICS[self.task], f"metric of a {self.task}")
        if self.task == "classification" and self.label.above is None:
            raise ValueError("label.above: a classifier needs the value above which the label is true")
        if self.prediction_range[0] >= self.prediction_range[1]:
            raise ValueError(f"prediction_range {self.prediction_range} is empty")
        return self


def _unique(names: tuple[str, ...] | list[str], field: str) -> None:
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise ValueError(f"{field}: {', '.join(twice)} named twice")


def _known(names: tuple[str, ...], allowed: frozenset[Metric] | set[str], field: str) -> None:
    unknown = sorted(set(names) - set(allowed))
    if unknown:
        raise ValueError(f"{field}: unknown {', '.join(unknown)}; there are {', '.join(sorted(allowed))}")
