"""Fit a use case's estimator on the training rows, and on nothing else."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.errors import DataError
from include.modeling.training import estimator as fitting
from include.modeling.training.checks import check_predictions, check_rows

if TYPE_CHECKING:
    import pandas as pd

    from include.data.snapshots.splits import Splits
    from include.declarations import UseCase

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trained:
    """A fitted estimator: the seconds it took, the rows it saw, its rounds if any, and what was odd."""

    estimator: Any
    seconds: float
    rows: int
    iterations: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def figures(self) -> dict[str, float]:
        """What a run keeps of it."""
        figures = {"fit_seconds": self.seconds, "training_rows": float(self.rows)}
        return figures if self.iterations is None else figures | {"iterations": float(self.iterations)}


def fit_candidate(use_case: UseCase, estimator: Any, splits: Splits) -> Trained:
    """
    Return `estimator`, fitted on `splits.train` as `training` of the use case says.

    The validation rows only say when to stop early; the test rows stay unseen.

    :raises DataError: if a feature is missing, the target has holes, or there is one class only
    :raises TrainingFailed: if the estimator raises, or does not answer as it should
    """
    feature_columns(use_case, splits.train)
    notes = check_rows(use_case, splits.train)
    started = time.perf_counter()
    fitted = fitting.fit_estimator(use_case, estimator, splits.train, splits.validation)
    seconds = time.perf_counter() - started
    check_predictions(use_case, fitted.estimator, splits.train)
    for note in (*notes, *fitted.notes):
        log.warning("%s: %s", use_case.name, note)
    return Trained(fitted.estimator, seconds, len(splits.train), fitted.iterations, (*notes, *fitted.notes))


def feature_columns(use_case: UseCase, frame: pd.DataFrame) -> pd.DataFrame:
    """
    Return the features of `frame` in the declared order.

    :raises DataError: naming the features that `frame` does not have
    """
    missing = [feature for feature in use_case.features if feature not in frame.columns]
    if missing:
        raise DataError(
            f"{use_case.name}: the rows lack {', '.join(missing)}. Rebuild {use_case.feature_view}, "
            "or correct `features` in the use case."
        )
    return frame[list(use_case.features)]
