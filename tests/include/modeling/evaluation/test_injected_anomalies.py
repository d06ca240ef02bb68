from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.data.snapshots.splits import Splits
from include.declarations import UseCase
from include.modeling.evaluation.injected_anomalies import with_injected_anomalies

FEATURES = ("temp", "carrier", "count", "maybe", "empty")
USE_CASE = UseCase(
    name="odd", owner="a", description="d", task="anomaly", feature_view="flight_features",
    features=FEATURES, metric="roc_auc", contamination=0.02, prediction_range=(-1, 1),
)  # fmt: skip


@pytest.fixture
def splits():
    rng = np.random.default_rng(0)
    n = 1_000
    rows = pd.DataFrame(
        {
            "key": [f"{number}" for number in range(n)],
            "_airworthy_day": [f"2013-01-{1 + number // 50:02}" for number in range(n)],
            "temp": np.where(rng.random(n) < 0.1, np.nan, rng.normal(10, 2, n)),
            "carrier": rng.choice(["AA", "UA"], n),
            "count": rng.integers(0, 9, n),
            "maybe": pd.array(rng.choice([True, False, None], n), dtype="boolean"),
            "empty": np.full(n, np.nan),
            "_airworthy_target": 0.0,
        }
    )
    return Splits(rows[:600], rows[600:600], rows[600:])


def test_each_split_gets_anomalies_of_its_own(splits):
    injected = with_injected_anomalies(USE_CASE, splits)
    targets = injected.test["_airworthy_target"]
    assert targets.value_counts().to_dict() == {0.0: 400, 1.0: 50}
    assert injected.train["_airworthy_target"].sum() == 60
    assert injected.validation.empty
    anomalies = injected.test[targets == 1]
    assert set(anomalies["key"]) <= set(splits.test["key"])
    assert set(anomalies["_airworthy_day"]) == set(splits.test["_airworthy_day"])
    assert injected.test["_airworthy_day"].is_monotonic_increasing


def test_values_keep_type_and_range(splits):
    injected = with_injected_anomalies(USE_CASE, splits)
    assert (injected.test[list(FEATURES)].dtypes == splits.test[list(FEATURES)].dtypes).all()
    anomalies = injected.test[injected.test["_airworthy_target"] == 1]
    low = splits.train["temp"].min()
    high = splits.train["temp"].max()
    margin = 0.1 * (high - low)
    assert anomalies["temp"].between(low - margin, high + margin).all()
    assert set(anomalies["carrier"]) == {"AA", "UA"}
    assert anomalies["maybe"].notna().all()
    assert anomalies["empty"].isna().all()


def test_real_rows_stay_and_anomalies_are_repeatable(splits):
    first = with_injected_anomalies(USE_CASE, splits)
    second = with_injected_anomalies(USE_CASE, splits)
    pd.testing.assert_frame_equal(first.test, second.test)
    real = first.test[first.test["_airworthy_target"] == 0].reset_index(drop=True)
    pd.testing.assert_frame_equal(real, splits.test.reset_index(drop=True))
