"""Prediction of the minutes that a flight is in the air."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from include.declarations import (
    Budget,
    BusinessValue,
    ErrorCost,
    Fairness,
    Improvement,
    Label,
    Leakage,
    Robustness,
    Rollout,
    Threshold,
    UseCase,
)

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

USE_CASE = UseCase(
    name="air_time",
    owner="flight-operations",
    description="Minutes between take-off and landing, two hours before the flight leaves.",
    tags=("flights",),
    task="regression",
    feature_view="flight_features",
    features=("carrier", "origin", "dest", "distance", "hour", "wind_speed", "pressure"),
    label=Label(dataset="arrivals", column="air_time"),
    metric="mae",
    gates=(
        Threshold(metric="mae", maximum=15),
        Improvement(metric="mae", minimum_gain=0.1),
        Leakage(maximum=0.9, exempt=("distance", "dest")),
        Robustness(
            noise={"wind_speed": 2, "pressure": 1},
            missing=("wind_speed", "pressure"),
            unseen=("carrier", "origin", "dest"),
            tolerance=10,
            maximum_flips=0.05,
        ),
        Budget(maximum_size_mb=50, maximum_memory_mb=1_000),
        Fairness(column="origin", metrics=("mae",), maximum_gap=5, severity="warn"),
        BusinessValue(severity="warn"),
    ),
    prediction_range=(0, 1000),
    cost=ErrorCost(currency="USD", over=1, under=2),
    baseline_by=("origin", "dest"),
    rollout=Rollout(bake=timedelta(seconds=4), patience=timedelta(minutes=5), minimum_requests=20),
)


def build_model() -> Pipeline:
    """Return an untrained gradient boosting on the absolute error."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    categories = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return make_pipeline(
        make_column_transformer((categories, ["carrier", "origin", "dest"]), remainder="passthrough"),
        HistGradientBoostingRegressor(random_state=0),
    )
