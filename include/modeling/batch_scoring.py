"""Predict many rows with one version, as its model server would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.errors import DataError
from include.modeling.training.fit import feature_columns

if TYPE_CHECKING:
    from include.declarations import FeatureView, UseCase
    from include.inference.model import ServedModel


def score_batch(
    use_case: UseCase, view: FeatureView, model: ServedModel, frame: pd.DataFrame, *, version: int
) -> pd.DataFrame:
    """
    Return entity, time, day, prediction and version for every row of the feature view's `frame`.

    Of several classes the prediction is the name of the likeliest, beside a `probability_<class>` of each.

    :raises DataError: if a feature is missing, or a prediction is not finite or not in the declared range
    """
    predictions = model.predict(feature_columns(use_case, frame))
    low, high = use_case.prediction_range
    fine = np.isfinite(predictions) & (predictions >= low) & (predictions <= high)
    wrong = ~fine.reshape(len(frame), -1).all(axis=1)
    if wrong.any():
        first = frame.loc[wrong, view.entity].iloc[0]
        raise DataError(
            f"{use_case.name} version {version}: {int(wrong.sum())} of {len(frame)} predictions are not in "
            f"{low:g} to {high:g}, first for {view.entity} {first}. Nothing was scored: look at those rows, "
            "or roll the version back."
        )
    scored = frame[[view.entity, view.time, "day"]]
    if not model.classes:
        return scored.assign(prediction=predictions, version=version).reset_index(drop=True)
    likeliest = np.asarray(model.classes, dtype=object)[predictions.argmax(axis=1)]
    columns = {f"probability_{name}": predictions[:, place] for place, name in enumerate(model.classes)}
    return scored.assign(prediction=likeliest, **columns, version=version).reset_index(drop=True)


def score_summary(scored: pd.DataFrame) -> dict[str, Any]:
    """Return the mean prediction, or of several classes the share of the rows that is of each."""
    predictions = scored["prediction"]
    if not pd.api.types.is_numeric_dtype(predictions):
        return {
            "shares": {
                str(name): float(share) for name, share in predictions.value_counts(normalize=True).items()
            }
        }
    return {"mean": float(predictions.mean())}
