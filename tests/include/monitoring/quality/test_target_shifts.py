"""Label shift and shift of the predictions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.monitoring.quality.target_shifts import measure_target_shifts
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.delay_band import USE_CASE as DELAY_BAND
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY


def window(targets, predictions):
    return pd.DataFrame({"_airworthy_prediction": list(predictions), "_airworthy_target": targets})


def binary(share, mean=0.3, seed=0, rows=600):
    random = np.random.default_rng(seed)
    targets = (random.random(rows) < share).astype(float)
    return window(targets, np.clip(random.normal(mean, 0.1, rows), 0, 1))


def drifted(use_case, trained, joined):
    shifts = measure_target_shifts(use_case, pd.Series(trained), joined)
    return {name: shift["drifted"] for name, shift in shifts.items()}


@pytest.mark.parametrize(
    ("share", "mean", "expected"),
    [
        (0.3, 0.3, {"label": False, "prediction": False}),
        (0.7, 0.3, {"label": True, "prediction": False}),
        (0.3, 0.6, {"label": False, "prediction": True}),
    ],
)
def test_label_and_predictions_shift_apart(share, mean, expected):
    trained = binary(0.3, seed=9)["_airworthy_target"]
    joined = [binary(share, mean, 1), binary(share, seed=2), binary(share, seed=3)]
    assert drifted(FLIGHT_DELAY, trained, joined) == expected


def test_regression_compares_numbers():
    random = np.random.default_rng(0)
    joined = [window(random.normal(size) + random.normal(0, 1, 200), np.full(200, 90.0)) for size in (5, 5)]
    assert drifted(AIR_TIME, random.normal(0, 1, 200), joined) == {"label": True, "prediction": False}


def test_multiclass_compares_the_most_probable_class():
    joined = [window(np.tile([0.0, 1.0], 100), [[0.1, 0.8, 0.1]] * 200)]
    joined.append(window(np.tile([0.0, 1.0], 100), [[0.8, 0.1, 0.1]] * 200))
    assert drifted(DELAY_BAND, np.tile([0.0, 1.0], 200), joined) == {"label": False, "prediction": True}


def test_few_labels_and_a_single_window_have_no_verdict():
    unlabelled = binary(0.3).assign(_airworthy_target=np.nan)
    assert drifted(FLIGHT_DELAY, [0.0, 1.0] * 100, [unlabelled]) == {}
    assert drifted(FLIGHT_DELAY, [0.0, 1.0] * 100, [unlabelled.iloc[:0], binary(0.5)]) == {"label": False}
