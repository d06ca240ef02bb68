"""What all tasks do when they fail."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from airworthy.defaults import default_args
from airworthy.failures import name_runbook, record_failed_task
from include.errors import DataError, GateFailed


@pytest.fixture
def failed(caplog, monkeypatch):
    """Return a function that runs the callback of a failed task, and returns what it logs."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://example.org/airflow")
    caplog.set_level(logging.INFO)

    def fail(error, **attributes):
        task = SimpleNamespace(log=logging.getLogger("task"), **attributes)
        name_runbook({"ti": SimpleNamespace(task=task), "exception": error})
        return caplog.text

    return fail


def test_failed_task_names_the_runbook_and_its_address(failed):
    page = "docs/runbooks/gate-refused.md"
    assert f"What to do: {page}, https://example.org/airflow/airworthy/{page}" in failed(GateFailed("why"))


def test_task_has_a_runbook_for_errors_without_one(failed):
    page = "docs/runbooks/ingestion-refused.md"
    assert page in failed(DataError("why"), runbook=page)


def test_failure_without_a_runbook_logs_nothing(failed):
    assert failed(ValueError("why")) == ""


def test_every_task_has_the_callbacks():
    assert default_args("ann")["on_failure_callback"] == [name_runbook, record_failed_task]
