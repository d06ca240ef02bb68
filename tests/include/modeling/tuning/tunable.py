"""A use case with tuning, as a module of `include/use_cases` would declare it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, SplineTransformer

from include.declarations import Categorical, Label, Real, Split, Threshold, Tuning, UseCase

USE_CASE = UseCase(
    name="tunable",
    owner="ann",
    description="Late?",
    task="binary",
    feature_view="flight_features",
    features=("carrier", "hour", "wind_speed"),
    label=Label(dataset="arrivals", column="arr_delay", above=15),
    metric="log_loss",
    gates=(Threshold(metric="roc_auc", minimum=0.55),),
    prediction_range=(0, 1),
    split=Split(validation_days=4, test_days=4, embargo_days=1, minimum_rows=100),
    tuning=Tuning(
        parameters={
            "strength": Real(low=1e-4, high=10, log=True),
            "by": Categorical(values=("hour", "noise")),
        },
        trials=4,
        folds=2,
        fold_days=3,
    ),
)


def build_model(*, strength=1.0, by="hour"):
    time.sleep(float(os.environ.get("TEST_PAUSE", "0")))
    if os.environ.get("TEST_TRACE"):
        with open(os.environ["TEST_TRACE"], "a") as trace:  # noqa: PTH123
            trace.write(f"{os.getpid()}\n")
    if os.environ.get("TEST_HOLD"):
        _wait(Path(os.environ["TEST_HOLD"]), Path(os.environ["TEST_TRACE"]))
    if by == "noise":
        steps = make_column_transformer((FunctionTransformer(lambda rows: rows * 0.0), ["hour"]))
    else:
        steps = make_column_transformer((SplineTransformer(n_knots=3), ["hour"]))
    return make_pipeline(steps, LogisticRegression(C=strength))


def _wait(hold, trace):
    """Wait until the test deletes the file `hold`; the first eight models (two per trial) do not wait."""
    while hold.exists() and len(trace.read_text().split()) > 8:
        time.sleep(0.02)
