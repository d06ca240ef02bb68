"""Training and hyper-parameter tuning."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from include.declarations.base import Declaration, Name
from include.declarations.metrics import Metric

Plain = bool | int | float | str | None


class Training(Declaration):
    """
    How the estimator of `build_model()` is fitted.

    `seed` is used for every `random_state` that is None. `class_weights` is "balanced" or one weight per
    class, in the order of the classes. With `half_life_days`, the weight of a row halves every so many days
    of age. `early_stopping` is the number of boosting rounds without a better loss on the validation days
    after which fitting stops; test days are never used. If the estimator does not converge, the run notes it
    (`convergence="note"`) or training fails (`"require"`).
    """

    seed: int = Field(default=0, ge=0, lt=2**31)
    class_weights: Literal["balanced"] | tuple[Annotated[float, Field(gt=0)], ...] | None = None
    half_life_days: float | None = Field(default=None, gt=0)
    early_stopping: int | None = Field(default=None, ge=1)
    convergence: Literal["note", "require"] = "note"


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


class Tuning(Declaration):
    """
    Search for the parameters of `build_model(**parameters)` on days before the test days.

    Each of `trials` trials is scored by `metric` (by default the use case's) on `folds` windows of
    `fold_days` days, each after the days that the trial is fitted on. Trials run in `workers` processes of
    this machine, or on the Dask cluster whose scheduler is at `dask`. No trial starts after `timeout`.
    """

    parameters: Mapping[Name, AnyParameter] = Field(min_length=1)
    trials: int = Field(default=20, ge=1, le=1_000)
    timeout: Annotated[timedelta, Field(gt=timedelta(0))] | None = None
    metric: Metric | None = None
    folds: int = Field(default=3, ge=1, le=20)
    fold_days: int = Field(default=7, ge=1)
    workers: int = Field(default=1, ge=1, le=256)
    dask: Annotated[str, Field(pattern=r"^(tcp|tls)://.+:\d+$")] | None = None


def _require_parameter_range(low: float, high: float, *, log: bool) -> None:
    if not math.isfinite(low) or not low < high:
        raise ValueError(f"low {low} must be below high {high}")
    if log and low <= 0:
        raise ValueError(f"log: low {low} must be above 0")
