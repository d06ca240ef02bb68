"""Checks of the training rows before a fit, and of the predictions after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.pipeline import Pipeline

from include.data.snapshots.target_encoding import TARGET
from include.errors import DataError, TrainingFailed
from include.inference.predictions import prediction_method, probability_tolerance, raw_predictions
from include.modeling.evaluation.estimator_errors import estimator_errors

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from include.declarations import UseCase

MAX_PREDICTED_ROWS = 1_000
MAX_UNKNOWN_ROWS = 10
UNKNOWN_TEXT = "never seen in training"


def check_estimator(use_case: UseCase, estimator: Any) -> None:
    """
    Check that an estimator can be used for the task, before it is fitted.

    Raises
    ------
    TrainingFailed
        If it lacks the method that the task predicts by, or a pipeline cannot use its last step.
    """
    last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    name = type(last).__name__
    method = prediction_method(use_case.task)
    if not hasattr(estimator, method):
        raise TrainingFailed(
            f"{use_case.name}: {name} of build_model() has no {method}(), by which a model of the task "
            f"{use_case.task} predicts. Write a class with fit(rows, target) and {method}(rows) around it, "
            "or choose another estimator or task."
        )
    if isinstance(estimator, Pipeline) and not hasattr(last, "__sklearn_tags__"):
        raise TrainingFailed(
            f"{use_case.name}: {name} of build_model() is the last step of a pipeline, as it also is with "
            "request_features(), and scikit-learn's pipelines take estimators of theirs only. Let it inherit "
            "from sklearn.base.BaseEstimator, or return it without a pipeline."
        )


def check_training_rows(use_case: UseCase, train: pd.DataFrame) -> tuple[str, ...]:
    """
    Check that the training rows have a usable target.

    Parameters
    ----------
    use_case
        Use case whose features and classes are checked.
    train
        Training rows: the features and `TARGET`.

    Returns
    -------
    tuple of str
        Warnings about rows that can be learnt from, but look wrong.

    Raises
    ------
    DataError
        If targets are missing, or a class has no rows.
    """
    _check_target(use_case, train[TARGET])
    notes = []
    constant = [name for name in use_case.features if train[name].nunique(dropna=False) < 2]
    if constant:
        notes.append(f"{', '.join(constant)} never changes in the {len(train)} training rows")
    if len(use_case.features) > len(train):
        notes.append(f"there are more features ({len(use_case.features)}) than training rows ({len(train)})")
    return tuple(notes)


def _check_target(use_case: UseCase, target: pd.Series[Any]) -> None:
    n_missing = int(target.isna().sum())
    if n_missing:
        raise DataError(
            f"{use_case.name}: {n_missing} of {len(target)} training rows have no target. "
            "Drop them where the snapshot is read."
        )
    absent = [name for code, name in enumerate(use_case.class_names) if not (target == code).any()]
    if absent:
        raise DataError(
            f"{use_case.name}: none of {len(target)} training rows is {', '.join(absent)} "
            f"({use_case.label.description}). Train on more rows, or correct the use case's `label`."
        )


def check_fitted_estimator(use_case: UseCase, estimator: Any, frame: pd.DataFrame) -> None:
    """
    Check that a fitted estimator predicts training rows, also with text values that are new to it.

    Parameters
    ----------
    use_case
        Use case whose task says which predictions are valid.
    estimator
        Fitted estimator.
    frame
        Rows with all features; the first `MAX_PREDICTED_ROWS` are predicted.

    Raises
    ------
    TrainingFailed
        If the estimator raises, or its predictions have the wrong shape, are not finite, or are no
        probabilities although the task is a classification.
    ServiceUnavailable
        If memory, disk, a worker process or a connection failed.
    """
    rows = frame[list(use_case.features)].head(MAX_PREDICTED_ROWS)
    predictions = _predict(use_case, estimator, rows, "training rows")
    _check_predictions(use_case, predictions, len(rows))
    text_columns = [name for name in rows if rows[name].map(lambda value: isinstance(value, str)).any()]
    for name in text_columns:
        unknown = rows.head(MAX_UNKNOWN_ROWS).assign(**{str(name): UNKNOWN_TEXT})
        predictions = _predict(use_case, estimator, unknown, f"an unknown value of {name}")
        _check_predictions(use_case, predictions, len(unknown))


def _predict(use_case: UseCase, estimator: Any, rows: pd.DataFrame, subject: str) -> npt.NDArray[Any]:
    action = f"{use_case.name}: {prediction_method(use_case.task)}() on {subject}"
    remedy = "Let the encoder ignore unknown values, and check build_model()."
    with estimator_errors(action, remedy=remedy, error=TrainingFailed):
        return raw_predictions(estimator, use_case.task, rows)


def _check_predictions(use_case: UseCase, predictions: npt.NDArray[Any], n_rows: int) -> None:
    is_number = use_case.task in {"regression", "anomaly"}
    expected = (n_rows,) if is_number else (n_rows, len(use_case.class_names))
    if predictions.shape != expected:
        raise TrainingFailed(
            f"{use_case.name}: the estimator predicts {n_rows} rows in the shape {predictions.shape}, "
            f"expected is {expected}. Check build_model()."
        )
    n_invalid = int(np.count_nonzero(~np.isfinite(predictions.astype(np.float64))))
    if n_invalid:
        raise TrainingFailed(
            f"{use_case.name}: {n_invalid} of {predictions.size} predictions of the estimator are not finite "
            "numbers. Check build_model(), and how it handles missing values."
        )
    if not is_number:
        _check_probabilities(use_case, predictions)


def _check_probabilities(use_case: UseCase, predictions: npt.NDArray[Any]) -> None:
    low = predictions.min()
    high = predictions.max()
    totals = predictions.sum(axis=1)
    tolerance = probability_tolerance(predictions.dtype)
    sums_to_one = np.abs(totals - 1).max(initial=0) <= tolerance
    if low < -tolerance or high > 1 + tolerance or not sums_to_one:
        raise TrainingFailed(
            f"{use_case.name}: predict_proba returns {low:.3g} to {high:.3g}, and rows that add up to "
            f"{totals.min():.3g} to {totals.max():.3g}: these are no probabilities. Check build_model()."
        )
