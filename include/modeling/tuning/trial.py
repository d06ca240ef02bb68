"""Trials: cross-validation of one set of parameters, on windows of days or on random groups of rows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import cloudpickle

from include.catalog import declaration_module
from include.data.lake.partition_columns import DAY
from include.data.snapshots.splits import newest_days
from include.data.snapshots.target_encoding import TARGET
from include.errors import AirworthyError, DataError, ServiceUnavailable
from include.modeling.evaluation.estimator_errors import estimator_errors
from include.modeling.evaluation.metrics import absent_classes, compute_metrics, explain_undefined, predict
from include.modeling.training.early_stopping import shorten
from include.modeling.training.estimator import final_estimator, fit_estimator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from include.declarations import Tuning, UseCase

    Parameters = Mapping[str, Any]

# Number of the random group of a row without a time.
FOLD = "_airworthy_fold"


@dataclass(frozen=True, slots=True)
class Fold:
    """Days to fit on, and later days to measure on; or groups of rows without a time."""

    train: tuple[str, ...]
    validation: tuple[str, ...]

    def describe(self) -> str:
        """Return the fold in words, by its first and last day or by the number of its group."""
        first = self.validation[0]
        last = self.validation[-1]
        return f"the fold {first}" if first == last else f"the fold {first} to {last}"


@dataclass(frozen=True, slots=True)
class TrialJob:
    """
    Inputs that all trials of a tuning share, in whichever process they run.

    Parameters
    ----------
    use_case
        Use case that is tuned.
    metric
        Metric that is optimized.
    build
        `build_model` of the use case.
    rows
        Rows of all folds: `unit`, the features and `TARGET`.
    folds
        Folds in the order of time.
    unit
        Column that the folds name the values of: the day, or `FOLD`.
    """

    use_case: UseCase
    metric: str
    build: Callable[..., Any]
    rows: pd.DataFrame
    folds: tuple[Fold, ...]
    unit: str = DAY

    def to_bytes(self) -> bytes:
        """Return the job pickled by cloudpickle, with the module of the use case by value."""
        module = declaration_module("use_cases", self.use_case.name)
        cloudpickle.register_pickle_by_value(module)
        try:
            return bytes(cloudpickle.dumps(self))
        finally:
            cloudpickle.unregister_pickle_by_value(module)


@dataclass(frozen=True, slots=True)
class TrialPart:
    """
    What of a trial is measured: numbers of folds, and the share of the rounds that each fit takes.

    Of an estimator without a number of rounds, there are no scores for a share of them.
    """

    folds: tuple[int, ...]
    rounds: float | None = None


@dataclass(frozen=True, slots=True)
class TrialResult:
    """Metric of each fold (n_folds) and seconds of a trial; `problem` says why it failed, if it did."""

    scores: tuple[float, ...]
    seconds: float
    problem: str = ""

    @property
    def score(self) -> float:
        """Mean over the folds."""
        return sum(self.scores) / len(self.scores)


def split_folds(
    tuning: Tuning, days: Sequence[str], *, embargo_days: int, last_days: int | None = None
) -> tuple[Fold, ...]:
    """
    Split `days` into folds whose validation windows are the last `folds` times `fold_days` days.

    Each fold is trained on all days before its window, except for the embargo.

    Parameters
    ----------
    tuning
        Declared number and length of the folds.
    days
        Sorted days, as ISO dates.
    embargo_days
        Days before each window that are not trained on, since their labels were not known yet.
    last_days
        Length of the window that each fold is trained on; None for all days before it.

    Raises
    ------
    DataError
        If there are too few days to train the first fold.
    """
    n_held_out = tuning.folds * tuning.fold_days
    folds = []
    for start in range(len(days) - n_held_out, len(days), tuning.fold_days):
        first = max(start, 0)
        embargo_start = date.fromisoformat(days[first]) - timedelta(days=embargo_days)
        earlier = [day for day in days[:first] if date.fromisoformat(day) < embargo_start]
        train = tuple(newest_days(earlier, last_days))
        if not train:
            raise DataError(
                f"There are {len(days)} days to tune on, and {tuning.folds} folds of {tuning.fold_days} days "
                f"leave none to fit the first on, after an embargo of {embargo_days}. Publish more days, or "
                "declare fewer or shorter folds in `tuning`."
            )
        folds.append(Fold(train, tuple(days[start : start + tuning.fold_days])))
    return tuple(folds)


def random_folds(n_folds: int) -> tuple[Fold, ...]:
    """Return folds of numbered groups of rows; each is measured on one group and fitted on all others."""
    groups = list(map(str, range(n_folds)))
    return tuple(
        Fold((*groups[:number], *groups[number + 1 :]), (group,)) for number, group in enumerate(groups)
    )


def run_trial(job: TrialJob, parameters: Parameters, part: TrialPart | None = None) -> TrialResult:
    """
    Fit and measure the estimator with `parameters` on every fold, or as far as `part` says.

    Early stopping, where it is declared, uses the validation days of the fold, in all trials alike.

    Returns
    -------
    TrialResult
        With a `problem` if the estimator cannot be built, fitted or measured with these parameters.

    Raises
    ------
    ServiceUnavailable
        If memory, disk, a worker process or a connection failed; the trial has no result then.
    """
    start = time.perf_counter()
    action = f"{job.use_case.name}: a trial with {dict(parameters)}"
    try:
        with estimator_errors(action, remedy="Check build_model() and `tuning.parameters`."):
            folds = job.folds if part is None else [job.folds[number] for number in part.folds]
            scores = []
            for fold in folds:
                estimator = job.build(**parameters)
                if part is None or part.rounds is None or shorten(final_estimator(estimator), part.rounds):
                    scores.append(_score_fold(job, fold, estimator))
    except ServiceUnavailable:
        raise
    except AirworthyError as error:
        return TrialResult((), time.perf_counter() - start, str(error))
    return TrialResult(tuple(scores), time.perf_counter() - start)


def _score_fold(job: TrialJob, fold: Fold, estimator: Any) -> float:
    train = job.rows[job.rows[job.unit].isin(fold.train)]
    validation = job.rows[job.rows[job.unit].isin(fold.validation)]
    absent = absent_classes(job.use_case, train[TARGET])
    if absent:
        raise DataError(
            f"{job.use_case.name}: none of the {len(train)} rows that {fold.describe()} is fitted on is "
            f"{', '.join(absent)}. Publish more days, or declare fewer folds in `tuning`."
        )
    fitted = fit_estimator(job.use_case, estimator, train, validation)
    features = validation[list(job.use_case.features)]
    predictions = predict(fitted.estimator, job.use_case.task, features)
    metrics = compute_metrics(job.use_case, predictions, validation[TARGET], only={job.metric})
    value = metrics.get(job.metric)
    if value is None:
        target = validation[TARGET].to_numpy(dtype=float)
        reason = explain_undefined(job.use_case, job.metric, predictions, target)
        raise DataError(
            f"{job.use_case.name}: {job.metric} is undefined in {fold.describe()}: {reason}. Declare longer "
            "`tuning.fold_days`, fewer folds, or a `tuning.metric` such as log_loss."
        )
    return value
