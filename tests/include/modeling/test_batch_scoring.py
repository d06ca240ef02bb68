from __future__ import annotations

import numpy as np
import pytest

from include.errors import DataError
from include.features.flight_features import FEATURE_VIEW
from include.modeling.batch_scoring import score_batch
from include.modeling.packaging.package import load_package, model_digest
from include.use_cases.flight_delay import USE_CASE


@pytest.fixture
def model(packaged):
    return load_package(packaged, expected=model_digest(packaged))


def test_every_row_gets_one_prediction(model, flights):
    frame = flights(days=2)
    scored = score_batch(USE_CASE, FEATURE_VIEW, model, frame, version=4)
    assert list(scored.columns) == ["flight_id", "scheduled_departure", "day", "prediction", "version"]
    assert scored["flight_id"].tolist() == frame["flight_id"].tolist()
    assert set(scored["version"]) == {4}


def test_the_order_of_the_rows_changes_no_prediction(model, flights):
    frame = flights(days=2)
    scored = score_batch(USE_CASE, FEATURE_VIEW, model, frame, version=4).set_index("flight_id")["prediction"]
    turned = score_batch(USE_CASE, FEATURE_VIEW, model, frame[::-1], version=4).set_index("flight_id")[
        "prediction"
    ]
    np.testing.assert_array_equal(turned[scored.index], scored)


def test_a_prediction_outside_of_the_range_scores_nothing(model, flights):
    narrow = USE_CASE.model_copy(update={"prediction_range": (0, 0.01)})
    with pytest.raises(DataError, match="flight_id 2013"):
        score_batch(narrow, FEATURE_VIEW, model, flights(days=2), version=4)


def test_a_missing_feature_is_named(model, flights):
    with pytest.raises(DataError, match="carrier"):
        score_batch(USE_CASE, FEATURE_VIEW, model, flights(days=2).drop(columns="carrier"), version=4)
