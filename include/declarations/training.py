"""How an estimator is fitted, and how its parameters are chosen."""

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

    `seed` fills every `random_state` that is left open. `class_weights` are "balanced", or one weight for
    each class in order. With `half_life_days` a row counts half as much as one that is so many days younger.
    `early_stopping` ends boosting after so many rounds without a better loss on the validation days; the test
    days are never seen. What does not converge is noted with the run, or refused.
    """

    seed: int = Field(default=0, ge=0, lt=2**31)
    class_weights: Literal["balanced"] | tuple[Annotated[float, Field(gt=0)], ...] | None = None
    half_life_days: float | None = Field(default=None, gt=0)
    early_stopping: int | None = Field(default=None, ge=1)
    convergence: Literal["note", "require"] = "note"


class Integer(Declaration):
    """A whole number to choose, both ends included; `log` looks as closely at small ones as at large ones."""

    kind: Literal["whole"] = "whole"
    low: int
    high: int
    log: bool = False

    @model_validator(mode="after")
    def _can_be_chosen(self) -> Self:
        _require_range(self.low, self.high, log=self.log)
        return self


class Real(Declaration):
    """A number to choose, both ends included; `log` looks as closely at small ones as at large ones."""

    kind: Literal["real"] = "real"
    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _can_be_chosen(self) -> Self:
        _require_range(self.low, self.high, log=self.log)
        return self


class Categorical(Declaration):
    """One of several values."""

    kind: Literal["choice"] = "choice"
    values: tuple[Plain, ...] = Field(min_length=2)


AnyParameter = Annotated[Integer | Real | Categorical, Field(discriminator="kind")]


class Tuning(Declaration):
    """
    Choose the parameters of `build_model(**parameters)` on days before the test days.

    Each of `trials` is measured by `metric` on `folds` windows of `fold_days`, each after the days that it
    was fitted on. `workers` processes of this machine share the work, or those of the Dask cluster whose
    scheduler is at `dask`. After `timeout` no further trial begins.
    """

    parameters: Mapping[Name, AnyParameter] = Field(min_length=1)
    trials: int = Field(default=20, ge=1, le=1_000)
    timeout: Annotated[timedelta, Field(gt=timedelta(0))] | None = None
    metric: Metric | None = None
    folds: int = Field(default=3, ge=1, le=20)
    fold_days: int = Field(default=7, ge=1)
    workers: int = Field(default=1, ge=1, le=256)
    dask: Annotated[str, Field(pattern=r"^(tcp|tls)://.+:\d+$")] | None = None


def _require_range(low: float, high: float, *, log: bool) -> None:
    if not math.isfinite(low) or not low < high:
        raise ValueError(f"low {low} must be below high {high}")
    if log and low <= 0:
        raise ValueError(f"log: low {low} must be above 0")
