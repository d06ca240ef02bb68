"""A rollout on SageMaker: desired state, endpoint, CloudWatch and verdict, against moto's server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from include.release import rollout
from include.release.rollout_status import analyse_stage
from include.release.targets.endpoint import variant_name
from include.release.targets.sagemaker import read_endpoint
from include.use_cases.flight_delay import USE_CASE

ENDPOINT = "airworthy-dev-flight-delay"
MINUTE = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=2)
NAME = USE_CASE.name


@pytest.fixture
def canary(target, database):
    """Return the lease of version 2, which has a quarter of the requests beside champion 1."""
    first = rollout.begin(database, NAME, 1, owner="first", actor="ann")
    rollout.promote(database, first, reason="the first", evidence={})
    reconcile(target, database)
    lease = rollout.begin(database, NAME, 2, owner="run", actor="ann")
    reconcile(target, database)
    rollout.shift(database, lease, weight=2_500, shadow_share=0.0, reason="canary", key="canary_25")
    reconcile(target, database)
    return lease


def reconcile(target, database):
    """Go steps, as the controller does, until the desired state is served."""
    for _ in range(4):
        with database.connect() as connection:
            states = [rollout.read_state(connection, NAME)]
        target.stage(states)
        served = target.route(states)[NAME]
        target.retire(states)
        if served.ready:
            return
    pytest.fail(served.detail["reason"])


def weights(aws):
    return read_endpoint(aws("sagemaker"), ENDPOINT).weights


def count(aws, version, **values):
    names = {"EndpointName": ENDPOINT, "VariantName": variant_name(version)}
    dimensions = [{"Name": name, "Value": value} for name, value in names.items()]
    data = [
        {"MetricName": name, "Dimensions": dimensions, "Timestamp": MINUTE, "Value": value}
        for name, value in {**values, "ModelLatency": 20_000.0}.items()
    ]
    aws("cloudwatch").put_metric_data(Namespace="AWS/SageMaker", MetricData=data)


def judge(database, use_case):
    with database.connect() as connection:
        return analyse_stage(connection, use_case, 2, since=MINUTE, stage="canary")


def test_a_challenger_that_does_as_well_is_promoted(aws, target, canary, database, use_case) -> None:
    count(aws, 1, Invocations=900, Invocation5XXErrors=1)
    count(aws, 2, Invocations=300, Invocation5XXErrors=0)
    verdict = judge(database, use_case)
    assert verdict.outcome == "promote", verdict.reason
    rollout.shift(database, canary, weight=10_000, shadow_share=0.0, reason="canary", key="canary_100")
    reconcile(target, database)
    assert weights(aws) == {"v1": 0.0, "v2": 1.0}
    rollout.promote(database, canary, reason="as good", evidence=verdict.figures)
    reconcile(target, database)
    assert weights(aws) == {"v2": 1.0}
    rollout.roll_back(database, NAME, actor="ann", reason="a mistake", key="back")
    reconcile(target, database)
    assert weights(aws) == {"v1": 1.0}


def test_a_challenger_that_fails_is_rolled_back(aws, target, canary, database, use_case) -> None:
    assert judge(database, use_case).outcome == "inconclusive"
    count(aws, 1, Invocations=900, Invocation5XXErrors=1)
    count(aws, 2, Invocations=300, Invocation5XXErrors=60)
    verdict = judge(database, use_case)
    assert verdict.outcome == "roll_back"
    assert "60 of 300 requests failed" in verdict.reason
    assert rollout.restore(database, canary, owner="run", actor="ann", reason=verdict.reason)
    reconcile(target, database)
    assert weights(aws) == {"v1": 1.0}
