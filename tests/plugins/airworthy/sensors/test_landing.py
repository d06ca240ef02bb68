from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow.sdk.exceptions import TaskDeferred

from airworthy.sensors.landing import PartitionLandedSensor
from include.errors import AirworthyError, PartitionMissing
from include.partitions import end_of

RUN = {"partition_key": "2013-07-01"}


@pytest.fixture
def land(lake):
    def write(day):
        file = Path(lake.uri).parent / "landing" / "arrivals" / f"{day}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()

    return write


@pytest.fixture
def sensor():
    return PartitionLandedSensor(task_id="wait", dataset="arrivals", landing_timeout=timedelta(hours=6))


def event(*missing, location="", problem="", permanent=False):
    return {"missing": list(missing), "location": location, "problem": problem, "permanent": permanent}


def test_landed_partition_succeeds_at_once(sensor, land, context):
    land("2013-07-01")
    assert sensor.execute(context(RUN)) is None


def test_missing_partition_is_deferred_to_the_triggerer(sensor, land, context):
    land("2013-07-01")
    run = context(params={"first": "2013-07-01", "last": "2013-07-02"})
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(run)
    assert deferred.value.method_name == "landed"
    assert deferred.value.trigger.partitions == ["2013-07-02"]
    assert deferred.value.trigger.timeout == 6 * 3600


def test_timeout_counts_from_when_the_partition_is_due(sensor, lake, context):
    now = datetime.now(UTC)
    # Arrivals of today are due at the next midnight.
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(context({"partition_key": now.date().isoformat()}))
    until_due = end_of(now.date()) - now
    assert abs(deferred.value.trigger.timeout - (until_due + timedelta(hours=6)).total_seconds()) < 30


def test_partition_that_never_landed_fails_with_its_location(sensor, context):
    with pytest.raises(PartitionMissing, match=r"2013-07-02 did not land within 6:00:00.*landing/x\.csv"):
        sensor.landed(context(RUN), event("2013-07-02", location="landing/x.csv"))


def test_unusable_source_fails_with_its_problem(sensor, context):
    with pytest.raises(AirworthyError, match="refuses the credentials"):
        sensor.landed(context(RUN), event("2013-07-02", problem="refuses the credentials", permanent=True))


def test_event_without_missing_partitions_succeeds(sensor, context):
    assert sensor.landed(context(RUN), event()) is None
