from __future__ import annotations

import pytest
from pydantic import ValidationError

from include.declarations import Fallback, Rollout, SageMaker, Serving, UseCase
from include.declarations.use_cases import PREDICTION_METRICS
from include.use_cases.flight_delay import USE_CASE

VALUES = {
    "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/airworthy:1",
    "role": "arn:aws:iam::123456789012:role/airworthy",
    "instance_type": "ml.m5.large",
    "packages": "s3://bucket/models",
}


@pytest.mark.parametrize("name", sorted(VALUES))
def test_an_endpoint_needs_all_of_its_values(name) -> None:
    with pytest.raises(ValidationError, match=name):
        SageMaker(**{other: value for other, value in VALUES.items() if other != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [("role", "airworthy"), ("instance_type", "m5.large"), ("packages", "/models"), ("image", "")],
)
def test_a_value_of_another_form_is_refused(name, value) -> None:
    with pytest.raises(ValidationError, match=name):
        SageMaker(**VALUES | {name: value})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"replicas": 0}, "replicas"),
        ({"target": "lambda"}, "target"),
        ({"target": SageMaker(**VALUES), "fallback": Fallback(kind="baseline")}, "cannot answer a baseline"),
    ],
)
def test_serving_that_cannot_be_is_refused(values, message) -> None:
    with pytest.raises(ValidationError, match=message):
        Serving(**values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "x" * 36}, "can be no SageMaker endpoint"),
        ({"name": "delay_"}, "can be no SageMaker endpoint"),
        ({"rollout": Rollout(count_mirrored=True, advisory=PREDICTION_METRICS)}, "count_mirrored"),
        ({"rollout": Rollout()}, "add prediction_shift, constant_predictions, since"),
    ],
)
def test_a_use_case_that_fits_no_endpoint_is_refused(changes, message) -> None:
    values = {name: getattr(USE_CASE, name) for name in UseCase.model_fields}
    values |= {"rollout": Rollout(advisory=PREDICTION_METRICS)} | changes
    with pytest.raises(ValidationError, match=message):
        UseCase(**values | {"serving": Serving(target=SageMaker(**VALUES))})
    UseCase(**values)


def test_the_target_of_a_version_is_todays() -> None:
    serving = Serving(target=SageMaker(**VALUES))
    assert serving.patience(USE_CASE.rollout.bake).total_seconds() == 1800
    assert Serving().patience(USE_CASE.rollout.bake) == USE_CASE.rollout.bake
