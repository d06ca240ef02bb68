from __future__ import annotations

import pytest

from airflow.sdk.exceptions import ParamValidationError

from airworthy.training_params import training_params
from include.use_cases.delay_band import USE_CASE as DELAY_BAND
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY


@pytest.fixture
def params():
    return training_params(DELAY_BAND)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("parameters", {"leaves": 31}),
        ("parameters", {"share_of_features": 1}),
        ("features", ["hour", "carrier"]),
        ("first_day", "2013-02-01"),
        ("experiment", True),
    ],
)
def test_valid_value_is_accepted(params, name, value):
    assert params[name].resolve(value) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("parameters", {"leaves": 5000}),
        ("parameters", {"leaves": "many"}),
        ("parameters", {"leafs": 31}),
        ("features", ["hour", "speed"]),
        ("features", ["hour", "hour"]),
        ("features", []),
        ("first_day", "last week"),
        ("experiment", "maybe"),
    ],
)
def test_invalid_value_is_refused_before_a_task(params, name, value):
    with pytest.raises(ParamValidationError):
        params[name].resolve(value)


def test_defaults_are_an_ordinary_training(params):
    values = {name: param.resolve() for name, param in params.items()}
    assert values == {
        "as_of": None, "reason": None, "experiment": False, "parameters": None, "features": None,
            "first_day": None,
    }  # fmt: skip


def test_params_are_described(params):
    assert all(param.description for param in params.values())
    assert "leaves" in params["parameters"].description
    assert "has none" in training_params(FLIGHT_DELAY)["parameters"].description
