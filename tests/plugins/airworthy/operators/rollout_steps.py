"""Short calls of the rollout operators, and what they wrote."""

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


def shift(use_case, lease, **share):
    return ShiftTrafficOperator(task_id="canary", use_case=use_case.name, lease=lease, **share)


def promotion(use_case, lease):
    return PromoteModelOperator(task_id="promote", use_case=use_case.name, lease=lease)


def restore(use_case, lease, run):
    return RestoreChampionOperator(task_id="restore", use_case=use_case.name, lease=lease).execute(run)


def deferred(operator, run):
    with pytest.raises(TaskDeferred) as deferral:
        operator.execute(run)
    return deferral.value


def state(database, use_case):
    with database.connect() as connection:
        return rollout.read_state(connection, use_case.name)


def ledger_events(database, use_case):
    """Return the events of the ledger after the registrations, oldest first."""
    with database.connect() as connection:
        events = [entry["event"] for entry in reversed(ledger.ledger_entries(connection, use_case.name))]
    return [event for event in events if event != "registered"]
