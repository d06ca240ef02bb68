"""Training, hyper-parameter tuning, and the resources of their tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from include.declarations.base import Declaration, Name
from include.declarations.metrics import Metric

SPLIT_FIELDS = {
    "time": ("validation_days", "test_days", "embargo_days"),
    "entity": ("validation_share", "test_share", "seed"),
}
Plain = bool | int | float | str | None
Amount = Annotated[float, Field(gt=0)]
PlaceName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.-]{0,200}$")]


class FinalRefit(Declaration):
    """
    Fit the model that is registered on training, validation and test rows, after the gates.

    Before, the test rows are predicted by refits that did not learn from them: the test days are divided into
    `folds` windows, each predicted by a fit on all days before it. If these are worse than the candidate by
    at most `margin`, in units of the use case's metric, with `confidence`, the refitted model is registered;
    otherwise the candidate is, as it is.
    """

    margin: float = Field(ge=0)
    folds: int = Field(default=3, ge=1, le=20)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)


class Training(Declaration):
    """
    How the estimator of `build_model()` is fitted.

    `seed` is used for every `random_state` that is None. `class_weights` is "balanced" or one weight per
    class, in the order of the classes. With `half_life_days`, the weight of a row halves every so many days
    of age. With `last_days`, only the newest so many days before the validation days are learnt from; that is
    also the window of each fold of a tuning. `early_stopping` is the number of boosting rounds or epochs
    without a better loss on the validation days after which fitting stops; test days are never used. If the
    estimator does not converge, the run notes it (`convergence="note"`) or training fails (`"require"`).

    With `final_refit`, a candidate that passed its gates is fitted again on all rows, if that is no worse.

    If different code built the days of features or labels, since `build()` or a source was changed, training
    fails (`stale_days="refuse"`), leaves out those that other code built than the newest (`"exclude"`), or
    takes all (`"use"`).
    """

    seed: int = Field(default=0, ge=0, lt=2**31)
    class_weights: Literal["balanced"] | tuple[Annotated[float, Field(gt=0)], ...] | None = None
    half_life_days: float | None = Field(default=None, gt=0)
    last_days: int | None = Field(default=None, ge=1)
    early_stopping: int | None = Field(default=None, ge=1)
    final_refit: FinalRefit | None = None
    convergence: Literal["note", "require"] = "note"
    stale_days: Literal["refuse", "exclude", "use"] = "refuse"


class Split(Declaration):
    """
    Split into training, validation and test rows.

    By `time`, in days from the end of the data: training, then validation, then test. `embargo_days` days
    before validation and before test are not used, since on the first day of each the labels of the days
    before were not known yet; by default they follow from when the label's dataset is known.

    By `entity`, for rows without a time: the shares (0 to 1) of the entities are chosen at random by `seed`.
    An entity is in the same part as long as the shares and the seed stay, also when data lands anew.

    Training fails with fewer than `minimum_rows` training rows.
    """

    by: Literal["time", "entity"] = "time"
    validation_days: int = Field(default=14, ge=0)
    test_days: int = Field(default=14, ge=1)
    embargo_days: int | None = Field(default=None, ge=0)
    validation_share: float = Field(default=0.15, ge=0, lt=1)
    test_share: float = Field(default=0.2, gt=0, lt=1)
    seed: int = Field(default=0, ge=0, lt=2**31)
    minimum_rows: int = Field(default=1_000, ge=1)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        other = SPLIT_FIELDS["entity" if self.by == "time" else "time"]
        changed = [name for name in other if getattr(self, name) != type(self).model_fields[name].default]
        if changed:
            raise ValueError(f"{', '.join(changed)}: not for a split by {self.by}; remove it, or change `by`")
        if self.validation_share + self.test_share >= 1:
            raise ValueError("validation_share and test_share leave no rows to train on: lower one of them")
        return self

    @property
    def has_validation(self) -> bool:
        """Whether there are validation rows."""
        return bool(self.validation_days if self.by == "time" else self.validation_share)

    def describe(self, entity: str) -> str:
        """Return the split in words; `entity` is the name of the entity."""
        if self.by == "entity":
            return (
                f"split at random by {entity}, seed {self.seed}: {self.validation_share:.0%} validation, "
                f"{self.test_share:.0%} test"
            )
        return f"split by time: the last {self.test_days} days test, {self.validation_days} validation"


class Integer(Declaration):
    """An integer parameter from `low` to `high`, both inclusive; `log` searches on a logarithmic scale."""

    kind: Literal["integer"] = "integer"
    low: int
    high: int
    log: bool = False

    @model_validator(mode="after")
    def _can_be_chosen(self) -> Self:
        _require_parameter_range(self.low, self.high, log=self.log)
        return self


class Real(Declaration):
    """A real parameter from `low` to `high`, both inclusive; `log` searches on a logarithmic scale."""

    kind: Literal["real"] = "real"
    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _can_be_chosen(self) -> Self:
        _require_parameter_range(self.low, self.high, log=self.log)
        return self


class Categorical(Declaration):
    """A parameter that takes one of `values`."""

    kind: Literal["categorical"] = "categorical"
    values: tuple[Plain, ...] = Field(min_length=2)


AnyParameter = Annotated[Integer | Real | Categorical, Field(discriminator="kind")]


class Pruning(Declaration):
    """
    When a trial of a tuning ends early: its mean over the folds so far is bad in comparison.

    It is worse than that of all but `percentile` percent of the trials which were measured on all folds, at
    the same fold: 50 ends those that are worse than the median. None ends before `startup_trials` trials were
    measured on all folds, or on its first `warmup_folds` folds.

    An estimator whose number of boosting rounds or epochs is known is first fitted with `first_rounds` of
    them, a share, on the first fold, and compared; None leaves that out. With one fold, that is the only
    comparison.
    """

    percentile: float = Field(default=50.0, gt=0, lt=100)
    startup_trials: int = Field(default=5, ge=1)
    warmup_folds: int = Field(default=0, ge=0)
    first_rounds: Annotated[float, Field(gt=0, lt=1)] | None = 0.2


class Tuning(Declaration):
    """
    Search for the parameters of `build_model(**parameters)` on days before the test days.

    Each of `trials` trials is scored by `metric` (by default the use case's) on `folds` windows of
    `fold_days` days, each after the days that the trial is fitted on; of rows that are split by entity, on
    `folds` random parts of them. Trials run in `workers` processes of
    this machine, or on the Dask cluster whose scheduler is at `dask`. No trial starts after `timeout`.
    With `pruning`, trials that are bad on their first folds are not measured on the others.
    """

    parameters: Mapping[Name, AnyParameter] = Field(min_length=1)
    trials: int = Field(default=20, ge=1, le=1_000)
    timeout: Annotated[timedelta, Field(gt=timedelta(0))] | None = None
    metric: Metric | None = None
    folds: int = Field(default=3, ge=1, le=20)
    fold_days: int = Field(default=7, ge=1)
    workers: int = Field(default=1, ge=1, le=256)
    dask: Annotated[str, Field(pattern=r"^(tcp|tls)://.+:\d+$")] | None = None
    pruning: Pruning | None = None

    @model_validator(mode="after")
    def _can_be_pruned(self) -> Self:
        if self.pruning is None:
            return self
        if self.folds == 1:
            self._require_rounds(self.pruning)
        elif self.pruning.warmup_folds >= self.folds - 1:
            raise ValueError("pruning.warmup_folds: must be below folds - 1, otherwise no trial ends early")
        if self.pruning.startup_trials >= self.trials:
            raise ValueError("pruning.startup_trials: must be below trials, otherwise no trial ends early")
        return self

    @staticmethod
    def _require_rounds(pruning: Pruning) -> None:
        """Raise ValueError if a trial of one fold is not compared within that fold."""
        if pruning.first_rounds is None or pruning.warmup_folds:
            name = "warmup_folds" if pruning.warmup_folds else "first_rounds"
            raise ValueError(
                f"pruning.{name}={getattr(pruning, name)}: with folds=1, trials are only compared after "
                f"their first rounds; remove {name}, or declare two or more folds"
            )


class Resources(Declaration):
    """
    What the tasks need that tune, train, evaluate, register or score a model of a use case.

    On Kubernetes, a pod requests and is limited to `cpu` cores, `memory_mb` (10^6 bytes) and `gpu` devices of
    the resource `gpu_resource`. On Celery, the tasks go to the workers of `queue`. `pool` is a pool in
    Airflow, of which each task takes `pool_slots`. An executor ignores what it does not have: tasks of the
    LocalExecutor share the machine.
    """

    cpu: Amount | None = None
    memory_mb: Amount | None = None
    gpu: int = Field(default=0, ge=0)
    gpu_resource: str = Field(default="nvidia.com/gpu", min_length=1)
    queue: PlaceName | None = None
    pool: PlaceName | None = None
    pool_slots: int = Field(default=1, ge=1)

    @property
    def pod_limits(self) -> dict[str, str]:
        """Limits of a container, in the units of Kubernetes."""
        limits: dict[str, str] = {}
        if self.cpu is not None:
            limits["cpu"] = f"{round(self.cpu * 1_000)}m"
        if self.memory_mb is not None:
            limits["memory"] = f"{round(self.memory_mb)}M"
        if self.gpu:
            limits[self.gpu_resource] = f"{self.gpu}"
        return limits


def _require_parameter_range(low: float, high: float, *, log: bool) -> None:
    if not math.isfinite(low) or not low < high:
        raise ValueError(f"low {low} must be below high {high}")
    if log and low <= 0:
        raise ValueError(f"log: low {low} must be above 0")
