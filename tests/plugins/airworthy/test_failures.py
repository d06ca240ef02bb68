"""What is recorded of a task that failed, and of a run that takes too long."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from airflow._shared.module_loading import qualname
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.comms import ErrorResponse
from airflow.serialization.decoders import decode_deadline_alert
from airflow.serialization.encoders import encode_deadline_alert

from airworthy.failures import alert_after, is_over, record_failed_task, record_long_run, subject_of
from airworthy_plugin import AirworthyPlugin
from dags.ingestion import ingestion_dag
from dags.monitoring import monitoring_dag
from include.catalog import catalog
from include.errors import AttentionNeeded, DataError, PartitionMissing
from include.monitoring.alerting.failures import RunFailure, recent_failures
from include.release import rollout_status
from include.use_cases.flight_delay import USE_CASE
from tests.plugins.conftest import Task

LONG = RunFailure("flights", "long_run", "flights_ingestion", "run_1")
FAILED = RunFailure("flights", "failed", "flights_ingestion", "run_1", "extract", successes=2)


@pytest.fixture
def fail(database, context):
    """Return a function that lets a task fail, and returns the failures that were recorded."""

    def run(error, dag_id="flights_ingestion", **attributes):
        ti = Task(task_id="extract", successes={"extract": 2})
        ti.task = SimpleNamespace(log=logging.getLogger("task"), **attributes)
        ti.log_url = "https://log"
        record_failed_task(context({"dag_id": dag_id, "run_id": "run_1"}, ti=ti, exception=error))
        return read(database)

    return run


def read(database):
    now = rollout_status.database_time(database)
    with database.connect() as connection:
        return recent_failures(connection, now)


def test_failed_task_is_recorded_with_log_and_runbook(fail):
    (failure,) = fail(DataError("no column `a`"), runbook="docs/runbooks/ingestion-refused.md")
    assert (failure.name, failure.subject) == ("flights", "flights_ingestion.extract")
    assert (failure.reason, failure.link, failure.successes) == ("no column `a`", "https://log", 2)
    assert failure.runbook == "docs/runbooks/ingestion-refused.md"


def test_missing_partition_is_late_data(fail):
    (failure,) = fail(PartitionMissing("2013-07-01 has not landed"))
    assert (failure.kind, failure.runbook) == ("late_data", "docs/runbooks/late-data.md")


def test_foreign_error_has_the_end_of_its_traceback(fail):
    (failure,) = fail(KeyError("a"))
    assert failure.reason.endswith("KeyError: 'a'")


def test_shared_dag_names_the_use_case_of_its_task(fail):
    (failure,) = fail(None, dag_id="service_levels", use_case=USE_CASE.name)
    assert failure.name == USE_CASE.name
    assert "killed" in failure.reason


def test_work_for_a_person_is_no_failure(fail):
    assert fail(AttentionNeeded("drift")) == []


def test_database_that_is_away_does_not_hide_the_error(fail, monkeypatch, caplog):
    monkeypatch.setenv("AIRFLOW_CONN_AIRWORTHY_DB", "postgresql://a:b@127.0.0.1:9/none")
    assert fail(DataError("why")) == []
    assert "nobody is told" in caplog.text


@pytest.mark.parametrize(
    ("dag_id", "name"),
    [
        ("flights_ingestion", "flights"),
        ("flight_delay_training", "flight_delay"),
        ("airport_weather_features", "airport_weather"),
        ("service_levels", "platform"),
        ("alerts", "platform"),
    ],
)
def test_dag_belongs_to_a_declaration_or_the_platform(dag_id, name):
    assert subject_of(dag_id) == name


@pytest.mark.parametrize(
    ("states", "successes", "over"),
    [
        ({"extract": "failed"}, 2, False),
        ({"extract": "running"}, 2, False),
        ({"extract": "success"}, 2, True),
        ({"extract": "failed"}, 3, True),
        ({}, 2, True),
    ],
)
def test_failure_is_over_after_a_success(states, successes, over):
    assert is_over(FAILED, Task(states=states, successes={"extract": successes})) is over


def test_long_run_is_over_when_it_ended():
    ti = SimpleNamespace(get_dagrun_state=lambda dag_id, run_id: "running")
    assert not is_over(LONG, ti)
    ti.get_dagrun_state = lambda dag_id, run_id: "failed"
    assert is_over(LONG, ti)

    def deleted(dag_id, run_id):
        raise AirflowRuntimeError(ErrorResponse())

    ti.get_dagrun_state = deleted
    assert is_over(LONG, ti)


def test_missed_deadline_is_recorded_if_a_run_goes_on(database):
    run = {
        "dag_id": "flights_ingestion",
        "dag_run_id": "run_1",
        "run_type": "scheduled",
        "state": "running",
        "queued_at": "2013-07-01 00:00",
    }
    deadline = {"deadline_time": "2013-07-01 12:00"}
    for changes in ({"run_type": "backfill"}, {"state": "failed"}):
        asyncio.run(record_long_run({"dag_run": run | changes, "deadline": deadline}))
    assert read(database) == []
    asyncio.run(record_long_run({"dag_run": run, "deadline": deadline}))
    (failure,) = read(database)
    assert (failure.kind, failure.name, failure.subject) == ("long_run", "flights", "flights_ingestion")
    assert "queued at 2013-07-01 00:00, has not ended by its deadline, 2013-07-01 12:00" in failure.reason


def test_dags_have_deadlines_that_airflow_can_call():
    longest = USE_CASE.schedules.maximum_run
    for dag in (monitoring_dag(USE_CASE), ingestion_dag(catalog().datasets["flights"])):
        (deadline,) = dag.deadline
        assert deadline.callback.path == "airworthy.failures.record_long_run"
        assert deadline.interval >= longest


def test_deadline_counts_from_the_creation_of_a_run(monkeypatch):
    references = {qualname(kind): kind for kind in AirworthyPlugin.deadline_references}
    monkeypatch.setattr("airflow.plugins_manager.get_deadline_references_plugins", lambda: references)
    limit = timedelta(hours=1)
    alert = decode_deadline_alert(encode_deadline_alert(alert_after(limit)))
    before = datetime.now(UTC)
    deadline = alert.reference.evaluate_with(session=None, interval=limit, dag_id="d", run_id="r")
    assert before <= deadline - limit <= datetime.now(UTC)
