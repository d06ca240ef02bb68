"""Failures of tasks in the ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from include.monitoring.alerting.failures import MAX_AGE, RunFailure, recent_failures, record_failure
from include.release import rollout_status

FAILURE = RunFailure("flights", "failed", "flights_ingestion", "run_1", "extract", reason="bad", successes=3)


def record(database, failure):
    with database.begin() as connection:
        return record_failure(connection, failure, actor="airflow")


def read(database, after=timedelta()):
    now = rollout_status.database_time(database)
    with database.connect() as connection:
        return recent_failures(connection, now + after)


def test_failure_is_recorded_once_until_a_success(database):
    assert record(database, FAILURE)
    assert not record(database, replace(FAILURE, run_id="run_2"))
    assert read(database) == [FAILURE]
    after_success = replace(FAILURE, run_id="run_3", successes=4)
    assert record(database, after_success)
    assert read(database) == [after_success]


def test_tasks_and_their_maps_are_told_apart(database):
    mapped = [replace(FAILURE, task_id="act", map_index=index) for index in range(2)]
    assert all(record(database, failure) for failure in (FAILURE, *mapped))
    assert read(database) == [FAILURE, *mapped]


def test_failure_of_long_ago_is_no_news(database):
    record(database, FAILURE)
    assert read(database, MAX_AGE - timedelta(hours=1)) == [FAILURE]
    assert read(database, MAX_AGE + timedelta(hours=1)) == []


def test_failure_without_a_count_is_always_recorded(database):
    long_run = RunFailure("flights", "long_run", "flights_ingestion", "run_1")
    assert record(database, long_run)
    assert record(database, replace(long_run, run_id="run_2"))
    assert [failure.run_id for failure in read(database)] == ["run_1", "run_2"]
