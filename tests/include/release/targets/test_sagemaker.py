from __future__ import annotations

import pytest

from include.errors import DeclarationError
from include.release.rollout import ReleaseState
from include.release.targets.sagemaker import SageMakerTarget, read_endpoint, target_of
from include.use_cases.flight_delay import USE_CASE
from tests.include.release.targets.conftest import BUCKET

ENDPOINT = "airworthy-dev-flight-delay"


def reconcile(target, **state):
    """Go steps towards a state until it is served; return the report."""
    states = [ReleaseState(USE_CASE.name, **state)]
    for _ in range(5):
        target.stage(states)
        served = target.route(states)[USE_CASE.name]
        target.retire(states)
        if served.ready:
            return served
    raise AssertionError(served.detail["reason"])


def weights(aws):
    return read_endpoint(aws("sagemaker"), ENDPOINT).weights


def names(aws):
    client = aws("sagemaker")
    configs = client.list_endpoint_configs()["EndpointConfigs"]
    return len(configs), len(client.list_models()["Models"])


def test_a_rollout_moves_the_weights_and_ends_with_one_variant(aws, target) -> None:
    reconcile(target, champion=1)
    assert weights(aws) == {"v1": 1.0}
    reconcile(target, champion=1, challenger=2)
    assert weights(aws) == {"v1": 1.0, "v2": 0.0}
    reconcile(target, champion=1, challenger=2, shadow_share=1.0)
    for share in (200, 2_500, 7_500, 10_000):
        served = reconcile(target, champion=1, challenger=2, weight=share)
        assert weights(aws)["v2"] == pytest.approx(share / 10_000)
    assert served.detail["route"]["weight"] == 10_000
    assert served.detail["servers"]["2"]["ready"]
    reconcile(target, champion=2, previous=1)
    assert weights(aws) == {"v2": 1.0}
    assert names(aws) == (1, 1)


def test_a_rollback_gives_the_champion_all_requests(aws, target) -> None:
    reconcile(target, champion=1, challenger=2, weight=2_500)
    reconcile(target, champion=1)
    assert weights(aws) == {"v1": 1.0}


@pytest.mark.parametrize("state", [{"retired": True}, {"champion": 1, "fallback": {"kind": "unavailable"}}])
def test_nothing_is_left_of_a_model_without_answers(aws, target, state) -> None:
    reconcile(target, champion=1)
    assert reconcile(target, **state).ready
    assert read_endpoint(aws("sagemaker"), ENDPOINT) is None
    assert names(aws) == (0, 0)


def test_each_step_can_be_killed_and_repeated(aws, target, use_case, packages) -> None:
    """Every call of AWS is the last one of a process once; another process then goes on."""
    client = aws("sagemaker")
    state = {"champion": 1, "challenger": 2, "weight": 2_500}
    for number in range(1, 8):
        calls = []

        def die(number=number, calls=calls, **_):
            calls.append(1)
            if len(calls) == number:
                raise KilledError

        client.meta.events.register("after-call.sagemaker", die)
        try:
            reconcile(SageMakerTarget(lambda: {use_case.name: use_case}, packages), **state)
        except KilledError:
            pass
        finally:
            client.meta.events.unregister("after-call.sagemaker", die)
    reconcile(SageMakerTarget(lambda: {use_case.name: use_case}, packages), **state)
    assert weights(aws) == pytest.approx({"v1": 0.75, "v2": 0.25})
    assert names(aws) == (1, 2)


class KilledError(BaseException):
    pass


def test_the_model_has_package_image_and_role(aws, target) -> None:
    reconcile(target, champion=3)
    client = aws("sagemaker")
    (model,) = client.list_models()["Models"]
    description = client.describe_model(ModelName=model["ModelName"])
    container = description["PrimaryContainer"]
    assert container["Environment"]["AIRWORTHY_MODEL_VERSION"] == "3"
    assert description["ExecutionRoleArn"].endswith(":role/airworthy")
    key = container["ModelDataUrl"].removeprefix(f"s3://{BUCKET}/")
    assert aws("s3").head_object(Bucket=BUCKET, Key=key)["ContentLength"] > 0


def test_an_update_that_sagemaker_undid_is_not_repeated(aws, target, monkeypatch) -> None:
    client = aws("sagemaker")
    reconcile(target, champion=1)
    former = read_endpoint(client, ENDPOINT).config
    updates = []
    describe = client.describe_endpoint

    def undone(**names):
        return describe(**names) | {"EndpointConfigName": former, "FailureReason": "no capacity"}

    monkeypatch.setattr(client, "update_endpoint", lambda **names: updates.append(names))
    monkeypatch.setattr(client, "describe_endpoint", undone)
    states = [ReleaseState(USE_CASE.name, champion=1, challenger=2)]
    for _ in range(3):
        target.stage(states)
        served = target.route(states)[USE_CASE.name]
        target.retire(states)
    assert len(updates) == 1
    assert "went back to the former variants" in served.detail["reason"]
    assert "no capacity" in served.detail["reason"]
    assert names(aws) == (2, 2)


def test_an_endpoint_that_failed_is_reported_or_made_again(aws, target, monkeypatch) -> None:
    client = aws("sagemaker")
    reconcile(target, champion=1)
    describe = client.describe_endpoint
    failed = {"EndpointStatus": "Failed", "FailureReason": "its container did not answer /ping"}
    monkeypatch.setattr(client, "describe_endpoint", lambda **names: describe(**names) | failed)
    same = [ReleaseState(USE_CASE.name, champion=1)]
    target.stage(same)
    assert "did not answer /ping" in target.route(same)[USE_CASE.name].detail["reason"]
    other = [ReleaseState(USE_CASE.name, champion=2)]
    target.stage(other)
    target.route(other)
    monkeypatch.undo()
    assert read_endpoint(client, ENDPOINT) is None


def test_what_aws_refuses_is_the_reason(aws, target, use_case) -> None:
    aws("s3").delete_bucket(Bucket=BUCKET)
    states = [ReleaseState(USE_CASE.name, champion=1)]
    target.stage(states)
    reason = target.route(states)[USE_CASE.name].detail["reason"]
    assert "flight_delay version 1 cannot be staged at SageMaker" in reason
    # Nothing is deleted while something is wrong.
    target.retire(states)


def test_a_local_use_case_has_no_endpoint(use_case) -> None:
    assert target_of(use_case).instance_type == "ml.m5.large"
    with pytest.raises(DeclarationError, match=r"serving\.target is 'local'"):
        target_of(USE_CASE)
