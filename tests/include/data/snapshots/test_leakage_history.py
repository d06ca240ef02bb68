"""What is record again of the leakage checks: by day, of the run that published it."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pytest

from include.data.features.leakage_check import Leak, LeakageCheck
from include.data.lake.delta_tables import Lake
from include.data.snapshots import leakage_history
from include.data.snapshots.leakage_history import LeakageRecord
from include.data.snapshots.snapshot import Snapshot
from include.data.validation import gate_results

VIEW = "flight_features"
FIRST = date(2013, 1, 1)
DAYS = [FIRST + timedelta(days=ahead) for ahead in range(4)]
LEAK = Leak("temp", "weather", "UA 1", "3.0", "missing", "06:00", "08:00", 12)


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path))


def publish(lake, days, run=""):
    rows = pd.DataFrame(
        {"flight_id": [f"{day}" for day in days], "_airworthy_day": [f"{day}" for day in days]}
    )
    metadata = {"run": run, "try": "1"} if run else {}
    return lake.publish(VIEW, rows, days, metadata=metadata)


def check(database, run, *leaks, rows=9):
    gate_results.record_gate_result(database, VIEW, run, "a partition", LeakageCheck(leaks, rows).results())


def record(database, lake, *, version=None, excluded_days=()):
    snapshot = Snapshot(
        "late", DAYS[-1], VIEW, lake.version(VIEW) if version is None else version, "arrivals", 0,
        (str(DAYS[0]), str(DAYS[-1])), 4, "digest", 1.0, excluded_days,
    )  # fmt: skip
    return leakage_history.of_snapshot(database, lake, snapshot)


def test_days_of_passed_runs_are_counted_for_any_try(database, lake):
    publish(lake, DAYS[:3], "features/bulk")
    publish(lake, DAYS[3:], "features/day 4")
    check(database, "features/bulk/1", LEAK)
    check(database, "features/bulk/2")
    check(database, "features/day 4/1")
    check(database, "features/another/1", LEAK)
    assert record(database, lake) == LeakageRecord(VIEW, passed=4)


def test_a_leak_is_told_by_feature(database, lake):
    publish(lake, DAYS, "features/bulk")
    check(database, "features/bulk/1", LEAK)
    assert record(database, lake) == LeakageRecord(VIEW, leaks={"temp": str(LEAK)})


def test_days_published_past_the_check_are_named_as_stretches(database, lake):
    publish(lake, DAYS, "features/bulk")
    check(database, "features/bulk/1")
    publish(lake, DAYS[:2])  # by hand
    publish(lake, DAYS[3:], "features/unchecked")
    assert record(database, lake) == LeakageRecord(VIEW, 1, 3, ("2013-01-01..2013-01-02", "2013-01-04"))
    assert record(database, lake, excluded_days=("2013-01-01", "2013-01-02")).unchecked == ("2013-01-04",)


def test_a_check_that_had_no_row_to_look_at_proves_nothing(database, lake):
    publish(lake, DAYS, "features/bulk")
    check(database, "features/bulk/1", rows=0)
    assert record(database, lake).unchecked == ("2013-01-01..2013-01-04",)


def test_other_verdicts_of_the_run_are_none_on_leakage(database, lake):
    from include.data.validation.results import CheckResult, ValidationResult

    publish(lake, DAYS, "features/bulk")
    valid = ValidationResult(True, 9, (CheckResult("expect_nothing", "temp", "critical", True, 0, (), ""),))
    gate_results.record_gate_result(database, VIEW, "features/bulk/1", "a partition", valid)
    assert record(database, lake).unchecked_days == 4


def test_record_is_of_the_rows_at_the_snapshot_version(database, lake):
    old = publish(lake, DAYS, "features/bulk")
    check(database, "features/bulk/1")
    publish(lake, DAYS)
    assert record(database, lake, version=old).passed == 4
    assert record(database, lake).passed == 0


def test_checks_of_several_views_are_told_apart(database, lake):
    publish(lake, DAYS, "features/bulk")
    check(database, "features/bulk/1", LEAK)
    rows = pd.DataFrame({"origin": [f"{day}" for day in DAYS], "_airworthy_day": [f"{day}" for day in DAYS]})
    joined = {"airports": lake.publish("airports", rows, DAYS, metadata={})}
    snapshot = Snapshot(
        "late", DAYS[-1], VIEW, lake.version(VIEW), "arrivals", 0, (str(DAYS[0]), str(DAYS[-1])), 4, "digest",
        joined_versions=joined,
    )  # fmt: skip
    result = leakage_history.of_snapshot(database, lake, snapshot)
    assert (result.feature_view, result.leaks) == (
        "flight_features and airports", {"flight_features.temp": str(LEAK)},
    )  # fmt: skip
    assert (result.unchecked_days, result.unchecked) == (4, ("airports 2013-01-01..2013-01-04",))
