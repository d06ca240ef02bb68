"""Will the flight arrive more than a quarter of an hour late?"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from include.declarations import Improvement, Label, Overfitting, Rollout, Split, Threshold, UseCase

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

CATEGORIES = ("carrier", "origin", "dest")
NUMBERS = (
    "hour", "weekday", "distance", "temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib",
)  # fmt: skip

USE_CASE = UseCase(
    name="flight_delay",
    owner="passenger-care",
    description="Probability that a flight arrives more than 15 minutes late, two hours before it leaves.",
    task="classification",
    feature_view="flight_features",
    features=CATEGORIES + NUMBERS,
    label=Label(dataset="arrivals", column="arr_delay", above=15),
    metric="log_loss",
    gates=(
        Threshold(metric="roc_auc", minimum=0.62),
        Improvement(metric="log_loss", minimum_gain=0.002, price_per_attempt=0.0005),
        Overfitting(metric="roc_auc", maximum_gap=0.15, severity="warn"),
    ),
    prediction_range=(0, 1),
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
