"""The recipe of a final refit: the estimator of the candidate, on more rows and without validation rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.data.lake.partition_columns import DAY
from include.data.snapshots.splits import Splits, before_embargo, entity_positions, newest_days
from include.errors import DeclarationError
from include.modeling.evaluation.metrics import predict
from include.modeling.training.early_stopping import limit_rounds
from include.modeling.training.estimator import final_estimator
from include.modeling.training.fit import fit_candidate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from include.declarations.specification import Specification
    from include.modeling.training.fit import TrainedModel

    Predictions = npt.NDArray[np.float64]


def fit_on_all(
    specification: Specification, estimator: Any, rows: pd.DataFrame, rounds: int | None
) -> TrainedModel:
    """
    Fit an untrained estimator on all `rows` of the training window, with the rounds of the candidate.

    Parameters
    ----------
    specification
        Specification of the candidate.
    estimator
        Untrained estimator, with the candidate's parameters.
    rows
        Labelled rows, of which the newest `training.last_days` are learnt from.
    rounds
        Rounds after which the candidate stopped on its validation rows; None if it did not stop early.

    Raises
    ------
    DeclarationError
        If the estimator's number of rounds cannot be set.
    """
    use_case = specification.use_case
    training = use_case.training.model_copy(update={"early_stopping": None})
    if use_case.training.early_stopping is not None:
        last = final_estimator(estimator)
        if rounds is None or not limit_rounds(last, rounds):
            raise DeclarationError(
                f"training.final_refit of {use_case.name}: {type(last).__name__} has no number of rounds "
                "that could be that of the early stopping. Leave out final_refit or early_stopping."
            )
    if training.last_days is not None:
        rows = rows[rows[DAY].isin(newest_days(sorted(rows[DAY].unique()), training.last_days))]
    changed = use_case.model_copy(update={"training": training})
    return fit_candidate(changed, estimator, Splits(rows, rows.head(0), rows.head(0)))


def walk_forward(
    specification: Specification,
    build: Callable[[], Any],
    frame: pd.DataFrame,
    splits: Splits,
    rounds: int | None,
) -> Predictions:
    """
    Return predictions of the test rows by refits that did not learn from them, shape (n,) or (n, n_classes).

    The test days are divided into windows, each predicted by a fit on all rows before it and an embargo. Of
    rows that are split by entity, each random part is predicted by a fit on all other rows.

    Parameters
    ----------
    specification
        Specification of the candidate.
    build
        Function that returns an untrained estimator.
    frame
        All labelled rows.
    splits
        The candidate's rows.
    rounds
        Rounds of the candidate, as for `fit_on_all`.
    """
    use_case = specification.use_case
    predictions: Predictions | None = None
    for train, is_measured in _folds(specification, frame, splits):
        fitted = fit_on_all(specification, build(), train, rounds).estimator
        features = splits.test.loc[is_measured, list(use_case.features)]
        part = predict(fitted, use_case.task, features)
        if predictions is None:
            predictions = np.zeros((len(splits.test), *part.shape[1:]))
        predictions[is_measured] = part
    if predictions is None:
        raise ValueError("there are no test rows")
    return predictions


def _folds(
    specification: Specification, frame: pd.DataFrame, splits: Splits
) -> Iterator[tuple[pd.DataFrame, npt.NDArray[np.bool_]]]:
    """Yield the rows that each fold is fitted on, and which test rows it is measured on."""
    use_case = specification.use_case
    refit = use_case.training.final_refit
    count = refit.folds if refit else 1
    test = splits.test
    if use_case.split.by == "entity":
        positions = entity_positions(test, specification.entity, use_case.split.seed)
        parts = np.minimum((positions / use_case.split.test_share * count).astype(int), count - 1)
        for part in np.unique(parts):
            is_measured = parts == part
            others = [splits.train, splits.validation, test[~is_measured]]
            yield pd.concat(others), np.asarray(is_measured)
        return
    days = sorted(frame[DAY].unique())
    embargo = use_case.split.embargo_days
    embargo_days = specification.availability.embargo_days if embargo is None else embargo
    for window in np.array_split(np.array(sorted(test[DAY].unique()), dtype=object), count):
        if not len(window):
            continue
        earlier = before_embargo(days, window[0], embargo_days)
        yield frame[frame[DAY].isin(earlier)], test[DAY].isin(window).to_numpy()
