"""Batch predictions of one model version, computed like those of its model server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.data.feature_store.feature_rows import partition_columns
from include.feature_values import require_complete
from include.inference.predictions import (
    DECISION,
    PREDICTION,
    PROBABILITY,
    VERSION,
    InvalidPrediction,
    outside_range,
)
from include.modeling.training.fit import feature_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.declarations import UseCase
    from include.declarations.relations.feature_selection import Spine
    from include.inference.model import ServedModel


def score_batch(
    use_case: UseCase, spine: Spine, model: ServedModel, frame: pd.DataFrame, *, version: int
) -> pd.DataFrame:
    """
    Predict every row of `frame`.

    Parameters
    ----------
    use_case
        Use case of the model.
    spine
        Key, entity and time columns of the rows.
    model
        Loaded model.
    frame
        Rows of the spine with all features (n).
    version
        Version of the model.

    Returns
    -------
    DataFrame
        Columns of the spine, partition, `PREDICTION` and `VERSION` (n rows). Of several classes, the most
        probable one, as it stands in the data; each has a column in `probability_columns`. With a packaged
        rule, `DECISION` is the cheapest decision: whether to act on the row, or the class.

    Raises
    ------
    DataError
        If a feature is missing, or a value of a feature that was never missing in training.
    InvalidPrediction
        If a prediction is not finite, or outside of the declared range.
    """
    predictions = _predict_rows(model, feature_columns(use_case, frame))
    _require_in_range(use_case, spine, frame, predictions, version=version)
    scored = frame[[*spine.columns, *partition_columns(spine)]]
    if not model.classes:
        numbers: dict[str, Any] = {PREDICTION: predictions} | _decisions(model, predictions)
        return scored.assign(**numbers, **{VERSION: version}).reset_index(drop=True)
    most_probable = np.asarray(model.classes, dtype=object)[predictions.argmax(axis=1)]
    probabilities = dict(zip(probability_columns(model.classes), predictions.T, strict=True))
    columns: dict[str, Any] = {PREDICTION: most_probable, **probabilities}
    columns |= _decisions(model, predictions) | {VERSION: version}
    return scored.assign(**columns).reset_index(drop=True)


def probability_columns(classes: Sequence[str | int]) -> list[str]:
    """
    Return the column of each class's probability, such as `_airworthy_probability_Iris-setosa`.

    A character that is no letter, digit, `_` or `-` becomes `_`, since tables do not take all of them. If two
    classes would share a column, all have the numbers of their positions instead: `_airworthy_probability_0`.
    """
    columns = [PROBABILITY + re.sub(r"[^\w-]", "_", str(name)) for name in classes]
    # SQL engines compare names without regard to case.
    if len({column.lower() for column in columns}) < len(columns):
        return [f"{PROBABILITY}{code}" for code in range(len(columns))]
    return columns


def score_summary(scored: pd.DataFrame) -> dict[str, Any]:
    """Return the mean prediction as `mean`, or for several classes the share of rows of each as `shares`."""
    predictions = scored[PREDICTION]
    if predictions.empty:
        return {}
    if pd.api.types.is_numeric_dtype(predictions):
        return {"mean": float(predictions.mean())}
    shares = predictions.value_counts(normalize=True)
    return {"shares": {str(name): float(share) for name, share in shares.items()}}


def _require_in_range(
    use_case: UseCase, spine: Spine, frame: pd.DataFrame, predictions: np.ndarray[Any, Any], *, version: int
) -> None:
    low, high = use_case.prediction_range
    is_invalid = outside_range(predictions, use_case.prediction_range)
    invalid_rows = np.any(is_invalid, axis=tuple(range(1, is_invalid.ndim)))
    if invalid_rows.any():
        first = ", ".join(map(str, frame.loc[invalid_rows, list(spine.keys)].iloc[0]))
        raise InvalidPrediction(
            f"{use_case.name} version {version}: {int(invalid_rows.sum())} of {len(frame)} predictions are "
            f"not from {low:g} to {high:g}, the first one for {', '.join(spine.keys)} {first}. "
            "Nothing was scored: check those rows, or roll the version back."
        )


def _decisions(model: ServedModel, predictions: np.ndarray[Any, Any]) -> dict[str, Any]:
    if model.decision is None:
        return {}
    decided = model.decision.answer(predictions, model.classes)
    return {DECISION: np.asarray(decided, dtype=object if model.classes else bool)}


def _predict_rows(model: ServedModel, features: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Return the predictions of the rows, all of which are complete; most estimators refuse none."""
    require_complete(features, model.columns)
    if features.empty:
        return np.zeros((0, len(model.classes)) if model.classes else 0)
    return model.predict(features)
