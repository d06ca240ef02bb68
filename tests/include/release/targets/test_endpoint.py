from __future__ import annotations

import pytest

from include.release.rollout import ReleaseState
from include.release.targets.endpoint import (
    Plan,
    endpoint_config,
    endpoint_name,
    model_name,
    owns_config,
    owns_model,
    plan_of,
)
from tests.include.release.targets.conftest import TARGET

MODELS = {1: "one", 2: "two"}


@pytest.mark.parametrize(
    ("state", "plan"),
    [
        ({}, Plan({})),
        ({"champion": 1}, Plan({1: 1.0})),
        ({"challenger": 2}, Plan({2: 1.0})),
        ({"champion": 1, "challenger": 2}, Plan({1: 1.0, 2: 0.0})),
        ({"champion": 1, "challenger": 2, "weight": 2_500}, Plan({1: 0.75, 2: 0.25})),
        ({"champion": 1, "challenger": 2, "shadow_share": 0.5}, Plan({1: 1.0}, 2, 0.5)),
        ({"champion": 1, "retired": True}, Plan({})),
        ({"champion": 2, "fallback": {"kind": "previous", "version": 1}}, Plan({1: 1.0})),
        ({"champion": 2, "fallback": {"kind": "unavailable"}}, Plan({})),
    ],
)
def test_a_plan_has_the_variants_of_the_state(state, plan) -> None:
    assert plan_of(ReleaseState("delay", **state)) == plan


def test_weights_do_not_change_the_name_of_a_configuration() -> None:
    first = endpoint_config("e", Plan({1: 0.75, 2: 0.25}), MODELS, TARGET, 3)
    second = endpoint_config("e", Plan({1: 0.25, 2: 0.75}), MODELS, TARGET, 3)
    assert first["EndpointConfigName"] == second["EndpointConfigName"]
    assert [variant["InitialVariantWeight"] for variant in first["ProductionVariants"]] == [0.75, 0.25]
    assert first["ProductionVariants"][0]["InitialInstanceCount"] == 3
    other = endpoint_config("e", Plan({1: 0.75, 2: 0.25}), MODELS, TARGET, 4)
    assert other["EndpointConfigName"] != first["EndpointConfigName"]


def test_a_shadow_gets_copies_of_its_share() -> None:
    config = endpoint_config("e", Plan({1: 1.0}, 2, 0.5), MODELS, TARGET, 1)
    (shadow,) = config["ShadowProductionVariants"]
    assert (shadow["ModelName"], shadow["InitialVariantWeight"]) == ("two", 0.5)


def test_endpoints_own_only_what_was_made_for_them() -> None:
    endpoint = endpoint_name("dev", "flight_delay")
    other = endpoint_name("dev", "flight")
    model = model_name(endpoint, 3, {"image": "a"})
    config = endpoint_config(endpoint, Plan({1: 1.0}), MODELS, TARGET, 1)["EndpointConfigName"]
    assert endpoint == "airworthy-dev-flight-delay"
    assert owns_model(endpoint, model)
    assert owns_config(endpoint, config)
    assert not owns_model(other, model)
    assert not owns_config(other, config)
    assert model != model_name(endpoint, 3, {"image": "b"})
