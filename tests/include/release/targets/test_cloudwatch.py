from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from include.release import analysis
from include.release.analysis import StepWindow
from include.release.targets import cloudwatch
from include.release.targets.cloudwatch import VariantMinutes

ENDPOINT = "airworthy-dev-delay"
NOW = datetime.now(UTC).replace(second=0, microsecond=0)
MINUTES = [NOW - timedelta(minutes=number) for number in (3, 2, 1)]


def window():
    values = {"since": MINUTES[1], "origin": MINUTES[0], "seconds": 180.0, "share": 0.25}
    others = {field.name: () for field in fields(StepWindow)}
    return StepWindow(**others | values)


def put(client, version, minute, **values):
    dimensions = [
        {"Name": "EndpointName", "Value": ENDPOINT},
        {"Name": "VariantName", "Value": f"v{version}"},
    ]
    data = [
        {"MetricName": name, "Dimensions": dimensions, "Timestamp": minute, "Value": value}
        for name, value in values.items()
    ]
    client.put_metric_data(Namespace=cloudwatch.NAMESPACE, MetricData=data)


def test_requests_are_counted_since_the_step_began(aws) -> None:
    client = aws("cloudwatch")
    for minute in MINUTES:
        put(client, 1, minute, Invocations=75, Invocation5XXErrors=1)
        put(client, 2, minute, Invocations=25, Invocation5XXErrors=10, Invocation4XXErrors=2)
    observed = cloudwatch.observe_variants(client, ENDPOINT, 1, 2, window=window())
    counts = observed.challenger.counts
    assert (counts.requests, counts.errors, counts.refused) == (50, 20, 4)
    assert observed.champion.counts.requests == 150
    assert observed.strata.challenger.tolist() == [[25.0] * 3, [10.0] * 3, [2.0] * 3]
    assert observed.strata.champion.shape == (3, 3)


def test_a_variant_without_requests_is_no_pass(aws, use_case) -> None:
    observed = cloudwatch.observe_variants(aws("cloudwatch"), ENDPOINT, 1, 2, window=window())
    assert observed.challenger.counts.requests == 0
    assert analysis.analyse(observed, use_case.rollout, stage="canary").outcome == "inconclusive"


@pytest.mark.parametrize(("factor", "outcome"), [(1.0, "promote"), (6.0, "roll_back")])
def test_percentiles_become_latencies_that_are_compared(use_case, factor, outcome) -> None:
    observed = analysis.Observation(
        responses(100_000.0), responses(100_000.0 * factor), sees_predictions=False
    )
    result = analysis.analyse(observed, use_case.rollout, stage="canary")
    assert result.outcome == outcome, result.reason


def responses(microseconds):
    counts = {"requests": dict.fromkeys(MINUTES, 400.0), "errors": {}, "refused": {}}
    latencies = {level: dict.fromkeys(MINUTES, microseconds) for level in cloudwatch.PERCENTILES}
    answered = cloudwatch._to_responses(VariantMinutes(counts, latencies), MINUTES[0])
    assert answered.latencies.sum() == pytest.approx(1_200, abs=1)
    assert answered.counts.p50 == pytest.approx(microseconds / 1_000, rel=0.06)
    return answered


def test_the_percentiles_stand_for_all_requests() -> None:
    assert np.sum(list(cloudwatch.PERCENTILES.values())) == pytest.approx(1.0)
