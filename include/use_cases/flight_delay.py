"""Probability that a flight arrives more than 15 minutes late."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from include.declarations import (
    Budget,
    BusinessValue,
    Calibration,
    DecisionCost,
    Fairness,
    Improvement,
    Label,
    Leakage,
    Overfitting,
    Robustness,
    Rollout,
    Split,
    Threshold,
    UseCase,
)

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

CATEGORIES = ("carrier", "origin", "dest")
REPORTS = ("temperature", "dew_point", "humidity", "wind", "rain", "air_pressure", "visibility")
NUMBERS = ("hour", "weekday", "distance", *REPORTS)

USE_CASE = UseCase(
    name="flight_delay",
    owner="passenger-care",
    description="Probability that a flight arrives more than 15 minutes late, two hours before it leaves.",
    tags=("flights",),
    task="binary",
    feature_views=("flight_features", "airport_weather"),
    features=CATEGORIES + NUMBERS,
    label=Label(dataset="arrivals", column="arr_delay", above=15),
    metric="log_loss",
    gates=(
        Threshold(metric="roc_auc", minimum=0.63),
        # Of 14 test days, a higher confidence for all nights together would ask a person every time.
        Improvement(metric="log_loss", minimum_gain=0.002, confidence=0.8),
        Leakage(maximum=0.8),
        Robustness(
            noise={
                "temperature": 2,
                "dew_point": 2,
                "humidity": 3,
                "wind": 2,
                "air_pressure": 1,
                "visibility": 0.5,
            },
            missing=REPORTS,
            unseen=CATEGORIES,
            extremes=("distance", "wind"),
            maximum_flips=0.1,
            maximum_loss=0.1,
        ),
        Budget(maximum_size_mb=50, maximum_memory_mb=1_000),
        Budget(maximum_latency_ms=250, severity="warn"),
        Overfitting(metric="roc_auc", maximum_gap=0.15, severity="warn"),
        Calibration(maximum_error=0.1, severity="warn"),
        Fairness(
            column="origin",
            metrics=("true_positive_rate", "false_positive_rate"),
            maximum_gap=0.25,
            severity="warn",
        ),
        BusinessValue(severity="warn"),
    ),
    prediction_range=(0, 1),
    cost=DecisionCost(currency="USD", false_positive=15, false_negative=60),
    baseline_by=("hour",),
    split=Split(validation_days=7, test_days=14),
    rollout=Rollout(bake=timedelta(seconds=4), patience=timedelta(minutes=5), minimum_requests=20),
)


def build_model() -> Pipeline:
    """Return an untrained gradient boosting over ordinal categories."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    categories = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return make_pipeline(
        make_column_transformer((categories, list(CATEGORIES)), remainder="passthrough"),
        HistGradientBoostingClassifier(
            max_iter=100, learning_rate=0.05, max_leaf_nodes=15, min_samples_leaf=200, random_state=0
        ),
    )
