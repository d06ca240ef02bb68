"""Prediction of the class of delay: on time, late or very late."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from include.declarations import (
    Improvement,
    Integer,
    Label,
    Real,
    Rollout,
    Split,
    Threshold,
    Training,
    Tuning,
    UseCase,
)

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

CATEGORIES = ("carrier", "origin", "dest")
NUMBERS = ("hour", "weekday", "distance", "temp", "wind_speed", "precip", "pressure", "visib")

USE_CASE = UseCase(
    name="delay_band",
    owner="passenger-care",
    description="How late a flight arrives: up to 15 minutes, up to an hour, or more; two hours before.",
    tags=("flights",),
    task="multiclass",
    feature_view="flight_features",
    features=CATEGORIES + NUMBERS,
    label=Label(
        dataset="arrivals", column="arr_delay", bands=(15, 60), classes=("on_time", "late", "very_late")
    ),
    metric="log_loss",
    gates=(
        Threshold(metric="roc_auc", minimum=0.6),
        Improvement(metric="log_loss", minimum_gain=0.002),
    ),
    prediction_range=(0, 1),
    split=Split(validation_days=7, test_days=14),
    training=Training(half_life_days=90, early_stopping=20),
    tuning=Tuning(
        parameters={
            "leaves": Integer(low=7, high=63, log=True),
            "minimum_rows": Integer(low=50, high=800, log=True),
            "share_of_features": Real(low=0.4, high=1),
        },
        trials=8,
        folds=2,
        timeout=timedelta(minutes=10),
    ),
    requirements=("lightgbm>=4.6",),
    rollout=Rollout(bake=timedelta(seconds=4), patience=timedelta(minutes=5), minimum_requests=20),
)


def build_model(*, leaves: int = 15, minimum_rows: int = 200, share_of_features: float = 1.0) -> Pipeline:
    """Return an untrained LightGBM over ordinal categories, the same on any number of cores."""
    from lightgbm import LGBMClassifier
    from sklearn.compose import make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    categories = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return make_pipeline(
        make_column_transformer((categories, list(CATEGORIES)), remainder="passthrough"),
        LGBMClassifier(
            n_estimators=150, learning_rate=0.08, num_leaves=leaves, min_child_samples=minimum_rows,
            colsample_bytree=share_of_features, deterministic=True, force_row_wise=True, verbose=-1,
        ),
    )  # fmt: skip
