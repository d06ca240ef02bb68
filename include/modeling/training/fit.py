"""Fitting of a use case's estimator on the training rows, with checks before and after."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.errors import DataError
from include.modeling.training.checks import check_estimator, check_fitted_estimator, check_training_rows
from include.modeling.training.estimator import fit_estimator

if TYPE_CHECKING:
    import pandas as pd

    from include.data.snapshots.splits import Splits
    from include.declarations import UseCase

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """
    A fitted estimator and the record of its fit.

    Parameters
    ----------
    estimator
        Fitted estimator.
    seconds
        Wall time of the fit.
    rows
        Number of training rows.
    iterations
        Rounds after which the estimator stopped; None if it has no rounds.
    notes
        Warnings about the rows and the fit.
    """

    estimator: Any
    seconds: float
    rows: int
    iterations: int | None = None
    notes: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return what the fit took, for the log."""
        rounds = "" if self.iterations is None else f", {self.iterations} rounds"
        return f"fitted on {self.rows:,} rows in {self.seconds:.1f} s{rounds}"

    @property
    def figures(self) -> dict[str, float]:
        """Metrics to log: `fit_seconds`, `training_rows` and, for boosting, `iterations`."""
        figures = {"fit_seconds": self.seconds, "training_rows": float(self.rows)}
        if self.iterations is not None:
            figures["iterations"] = float(self.iterations)
        return figures


def fit_candidate(use_case: UseCase, estimator: Any, splits: Splits) -> TrainedModel:
    """
    Fit `estimator` on the training split as `training` of the use case declares.

    The validation split is used for early stopping only; the test split is not used.

    Raises
    ------
    DataError
        If a feature is missing, targets are missing, or a class has no rows.
    TrainingFailed
        If the estimator raises, or its predictions are invalid.
    ServiceUnavailable
        If memory, disk, a worker process or a connection failed.
    """
    check_estimator(use_case, estimator)
    feature_columns(use_case, splits.train)
    row_notes = check_training_rows(use_case, splits.train)
    n_features = len(use_case.features)
    log.info("%s: training on %s rows, %d features", use_case.name, f"{len(splits.train):,}", n_features)
    start = time.perf_counter()
    fitted = fit_estimator(use_case, estimator, splits.train, splits.validation)
    seconds = time.perf_counter() - start
    check_fitted_estimator(use_case, fitted.estimator, splits.train)
    notes = (*row_notes, *fitted.notes)
    for note in notes:
        log.warning("%s: %s", use_case.name, note)
    trained = TrainedModel(fitted.estimator, seconds, len(splits.train), fitted.iterations, notes)
    log.info("%s: %s", use_case.name, trained.describe())
    return trained


def feature_columns(use_case: UseCase, frame: pd.DataFrame) -> pd.DataFrame:
    """
    Return the features of `frame` in the declared order.

    Raises
    ------
    DataError
        If features are missing; the message names them.
    """
    missing = [feature for feature in use_case.features if feature not in frame.columns]
    if missing:
        raise DataError(
            f"{use_case.name}: the rows lack {', '.join(missing)}. Rebuild {use_case.feature_view}, "
            "or correct `features` in the use case."
        )
    return frame[list(use_case.features)]
