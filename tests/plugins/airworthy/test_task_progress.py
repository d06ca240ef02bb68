"""Progress of a task in Airflow's state store."""

from __future__ import annotations

from unittest.mock import create_autospec

import pytest

from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse
from airflow.sdk.execution_time.context import TaskStateStoreAccessor

from airworthy.defaults import default_args
from airworthy.task_progress import KEY, RETENTION, follow_progress
from include.storage.progress import REPORTER, ProgressReport

REPORT = ProgressReport("flights: validated", 10, 40, "rows")


@pytest.fixture
def store():
    token = REPORTER.set(None)
    yield create_autospec(TaskStateStoreAccessor, instance=True)
    REPORTER.reset(token)


def test_every_task_stores_the_newest_report(store):
    for callback in default_args("platform")["on_execute_callback"]:
        callback({"task_state_store": store})
    REPORTER.get()(REPORT)
    progress = {"step": "flights: validated", "done": 10, "total": 40, "unit": "rows"}
    store.set.assert_called_once_with(KEY, progress, retention=RETENTION)


def test_task_goes_on_without_a_store_that_fails(store, caplog):
    store.set.side_effect = AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))
    follow_progress({"task_state_store": store})
    for _ in range(2):
        REPORTER.get()(REPORT)
    # After the first error it does not try again: each try waits for Airflow.
    assert store.set.call_count == 1
    assert "does not show the progress" in caplog.text
