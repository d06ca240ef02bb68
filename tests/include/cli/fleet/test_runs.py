from __future__ import annotations

from datetime import date
from unittest.mock import create_autospec

import pytest

from include.stack import airflow_api

NAME = "flight_delay"


def question(options):
    task = {"dag_id": f"{NAME}_deployment", "dag_run_id": "r", "task_id": "approve", "map_index": -1}
    return {"task_instance": task, "subject": "Approve?", "body": "AUC 0.7", "options": options}


@pytest.fixture
def api(monkeypatch):
    """Return the client of Airflow that the commands use."""
    client = create_autospec(airflow_api.AirflowApi, instance=True)
    client.trigger.return_value = "manual__1"
    client.backfill.return_value = 7
    client.link.return_value = "http://airflow/run"
    client.questions.return_value = [question(["Approve", "Reject"])]
    monkeypatch.setattr(airflow_api, "AirflowApi", lambda _: client)
    return client


def test_backfill_of_a_stage_is_created(api, airworthy):
    days = ("--first", "2013-07-01", "--last", "2013-07-03")
    assert airworthy("backfill", NAME, *days, "--stage", "training", "--json").value["days"] == 3
    api.backfill.assert_called_once_with(f"{NAME}_training", date(2013, 7, 1), date(2013, 7, 3))
    refused = airworthy("backfill", NAME, "--first", "2013-07-03", "--last", "2013-07-01")
    assert (refused.code, "is before --first" in refused.err) == (2, True)


def test_training_shows_gates_and_version(api, airworthy):
    reason = "mae 4 is within its bounds"
    gates = [{"gate": "threshold_mae", "outcome": "pass", "severity": "block", "reason": reason}]
    api.xcom.side_effect = lambda dag_id, run_id, task_id, key="return_value": (
        2 if task_id == "register" else gates
    )
    text = airworthy("train", NAME, "--as-of", "2013-07-01").out
    assert "threshold_mae: pass: mae 4 is within its bounds" in text
    assert f"{NAME}: version 2 is registered: http://airflow/run" in text
    api.trigger.assert_called_once_with(f"{NAME}_training", {"as_of": "2013-07-01"})


def test_refused_training_shows_its_gates_first(api, airworthy):
    api.xcom.side_effect = lambda dag_id, run_id, task_id, key="return_value": None
    api.require_success.side_effect = airflow_api.RunFailed("gate failed: mae")
    result = airworthy("train", NAME)
    assert (result.code, "gate failed: mae" in result.err) == (1, True)


def test_rollback_waits_for_its_run(api, airworthy):
    assert "http://airflow/run" in airworthy("rollback", NAME, "--reason", "worse").out
    api.trigger.assert_called_once_with(f"{NAME}_rollback", {"reason": "worse"})
    assert api.require_success.call_args.args[:2] == (f"{NAME}_rollback", "manual__1")


@pytest.mark.parametrize(
    ("options", "flags", "expected"),
    [
        (["Approve", "Reject"], (), "Approve"),
        (["Approve", "Reject"], ("--reject", "--reason", "worse"), "Reject"),
        (["Go on", "Roll back"], ("--reject", "--reason", "worse"), "Roll back"),
    ],
)
def test_waiting_question_is_answered(api, airworthy, options, flags, expected):
    question_shown = question(options)
    api.questions.return_value = [question_shown]
    assert airworthy("approve", NAME, *flags, "--json").value[0]["answer"] == expected
    api.answer.assert_called_once_with(question_shown, expected, "worse" if flags else "")


def test_rejection_needs_a_reason(api, airworthy):
    result = airworthy("approve", NAME, "--reject")
    assert (result.code, "--reject needs --reason" in result.err) == (2, True)
    api.answer.assert_not_called()


def test_shown_question_is_not_answered(api, airworthy):
    assert "AUC 0.7" in airworthy("approve", NAME, "--show").out
    api.answer.assert_not_called()


def test_nothing_waiting_is_exit_code_1(api, airworthy):
    api.questions.return_value = []
    result = airworthy("approve", NAME)
    assert (result.code, result.out) == (1, f"{NAME}: nothing waits\n")
