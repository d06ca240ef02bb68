"""The steps of a rollout as short calls; the controller is a function that reports."""

from __future__ import annotations

import pytest

from airflow.sdk.exceptions import TaskDeferred

from airworthy.operators.promotion import PromoteModelOperator
from airworthy.operators.rollout import BeginRolloutOperator, RestoreChampionOperator
from airworthy.operators.traffic import ShiftTrafficOperator
from include.database import ledger
from include.release import rollout

LIVE = {"live": True, "reason": "", "address": "127.0.0.1:9"}
NOT_LIVE = {"live": False, "reason": "the server of version 2 died", "address": None}


def begin(use_case, run):
    return BeginRolloutOperator(task_id="begin", use_case=use_case.name).execute(run)


def shift(use_case, hold, **share):
    return ShiftTrafficOperator(task_id="canary", use_case=use_case.name, hold=hold, **share)


def promotion(use_case, hold):
    return PromoteModelOperator(task_id="promote", use_case=use_case.name, hold=hold)


def restore(use_case, hold, run):
    return RestoreChampionOperator(task_id="restore", use_case=use_case.name, hold=hold).execute(run)


def deferred(operator, run):
    with pytest.raises(TaskDeferred) as found:
        operator.execute(run)
    return found.value


def state(database, use_case):
    with database.connect() as connection:
        return rollout.read_state(connection, use_case.name)


def told(database, use_case):
    """Return the events of the ledger after the registrations, oldest first."""
    with database.connect() as connection:
        events = [entry["event"] for entry in reversed(ledger.ledger_entries(connection, use_case.name))]
    return [event for event in events if event != "registered"]
