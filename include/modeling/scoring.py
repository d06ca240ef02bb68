"""Predict many rows with one version, as its model server would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from include.errors import DataError
from include.modeling.training import inputs

if TYPE_CHECKING:
    import pandas as pd

    from include.declarations import FeatureView, UseCase
    from include.serving.loading import ServedModel


def score(
    use_case: UseCase, view: FeatureView, model: ServedModel, frame: pd.DataFrame, *, version: int
) -> pd.DataFrame:
    """
    Return entity, time, day, prediction and version for every row of the feature view's `frame`.

    :raises DataError: if a feature is missing, or a prediction is not finite or not in the declared range
    """
    predictions = model.predict(inputs(use_case, frame))
    low, high = use_case.prediction_range
    wrong = ~(np.isfinite(predictions) & (predictions >= low) & (predictions <= high))
    if wrong.any():
        first = frame.loc[wrong, view.entity].iloc[0]
        raise DataError(
            f"{use_case.name} version {version}: {int(wrong.sum())} of {len(frame)} predictions are not in "
            f"{low:g} to {high:g}, first for {view.entity} {first}. Nothing was scored: look at those rows, "
            "or roll the version back."
        )
    scored = frame[[view.entity, view.time, "day"]].assign(prediction=predictions, version=version)
    return scored.reset_index(drop=True)
