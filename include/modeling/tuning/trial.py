"""Measure one choice of parameters on windows of days, each after the days that it is fitted on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import cloudpickle

from include.catalog import declaration_module
from include.errors import AirworthyError, DataError, ServiceUnavailable
from include.modeling.evaluation.metrics import compute_metrics, predict
from include.modeling.training import estimator
from include.modeling.transient_errors import translate_transient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from include.declarations import Tuning, UseCase

    Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fold:
    """Days to fit on, and the later days to measure on."""

    train: tuple[str, ...]
    validation: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrialJob:
    """All that a trial needs, wherever it runs: rows of days before the test days, and how to fit on them."""

    use_case: UseCase
    metric: str
    build: Callable[..., Any]
    rows: pd.DataFrame
    folds: tuple[Fold, ...]

    def to_bytes(self) -> bytes:
        """Return it as bytes that `cloudpickle.loads` reads; the use case's module travels inside."""
        module = declaration_module("use_cases", self.use_case.name)
        cloudpickle.register_pickle_by_value(module)
        try:
            return bytes(cloudpickle.dumps(self))
        finally:
            cloudpickle.unregister_pickle_by_value(module)


@dataclass(frozen=True, slots=True)
class TrialResult:
    """The metric on each fold and the seconds it took; or what went wrong."""

    scores: tuple[float, ...]
    seconds: float
    problem: str = ""

    @property
    def score(self) -> float:
        """The mean over the folds."""
        return sum(self.scores) / len(self.scores)


def folds(tuning: Tuning, days: list[str], *, embargo_days: int) -> tuple[Fold, ...]:
    """
    Return windows of `fold_days` at the end of `days`, each with all days before it but for the embargo.

    :raises DataError: if there are too few days
    """
    held_out = tuning.folds * tuning.fold_days
    found = []
    for first in range(len(days) - held_out, len(days), tuning.fold_days):
        last_known = date.fromisoformat(days[max(first, 0)]) - timedelta(days=embargo_days)
        train = tuple(day for day in days[: max(first, 0)] if date.fromisoformat(day) < last_known)
        if not train:
            raise DataError(
                f"There are {len(days)} days to tune on, and {tuning.folds} folds of {tuning.fold_days} days "
                f"leave none to fit the first on, after an embargo of {embargo_days}. Publish more days, or "
                "declare fewer or shorter folds in `tuning`."
            )
        found.append(Fold(train, tuple(days[first : first + tuning.fold_days])))
    return tuple(found)


def run_trial(work: TrialJob, parameters: Parameters) -> TrialResult:
    """
    Fit and measure on every fold; where that fails, say why.

    Where `training` declares early stopping, the days of the fold say when: all trials alike.

    :raises ServiceUnavailable: if memory, disk, a worker or a connection failed it: the trial is still open
    """
    began = time.perf_counter()
    try:
        with translate_transient(f"{work.use_case.name}: a trial with {dict(parameters)}"):
            scores = [_score(work, fold, parameters) for fold in work.folds]
    except ServiceUnavailable:
        raise
    except AirworthyError as error:
        return TrialResult((), time.perf_counter() - began, str(error))
    except Exception as error:  # noqa: BLE001  whatever else it raises is the problem of these parameters
        problem = f"{type(error).__name__}: {error} with {dict(parameters)}"
        return TrialResult((), time.perf_counter() - began, problem)
    return TrialResult(tuple(scores), time.perf_counter() - began)


def _score(work: TrialJob, fold: Fold, parameters: Parameters) -> float:
    train, validation = (work.rows[work.rows["day"].isin(days)] for days in (fold.train, fold.validation))
    fitted = estimator.fit_estimator(work.use_case, work.build(**parameters), train, validation)
    answers = predict(fitted.estimator, work.use_case.task, validation[list(work.use_case.features)])
    return compute_metrics(work.use_case, answers, validation["target"])[work.metric]
