"""SendAlertsOperator with PostgreSQL, a local HTTP receiver and a local mail server."""

from __future__ import annotations

import email
import json
import os
from dataclasses import replace
from unittest import mock

import pytest
from sqlalchemy import insert

from airworthy.operators.alerts import SendAlertsOperator
from include.database.tables import monitoring_result
from include.declarations import Alerts, EmailChannel, SlackChannel, WebhookChannel
from include.errors import AttentionNeeded
from include.monitoring.alerting.failures import RunFailure, record_failure
from include.release import rollout, rollout_status
from include.settings import settings
from tests.plugins.conftest import Task
from tests.webhook import receive_posts

CHANNELS = (SlackChannel(), WebhookChannel(connection="pager", endpoint="v2/enqueue"))


@pytest.fixture
def received(monkeypatch):
    """Return the paths and JSON bodies that a local receiver got, to which both HTTP connections lead."""
    with receive_posts() as (port, messages):
        host = {"conn_type": "http", "host": f"http://127.0.0.1:{port}"}
        monkeypatch.setenv("AIRFLOW_CONN_SLACK_ALERTS", json.dumps(host | {"password": "T0/B0/secret"}))
        monkeypatch.setenv("AIRFLOW_CONN_PAGER", json.dumps(host))
        yield messages


@pytest.fixture
def alerted(use_case, declare, database):
    """Return a function that declares channels for a champion whose monitoring needs a person."""

    def with_channels(*channels):
        declared = declare(use_case.model_copy(update={"alerts": Alerts(channels=channels)}))
        lease = rollout.begin(database, declared.name, 1, owner="run", actor="ann")
        rollout.promote(database, lease, reason="the first", evidence={})
        decide(database, declared.name, "alert", "a")
        return declared.name

    return with_channels


def decide(database, name, action, run):
    now = rollout_status.database_time(database)
    decision = {
        "action": action,
        "reason": "drift in 2 of 3 checks {{ 1/0 }}",
        "evidence": {"fired": ["drift"]},
    }
    row = {
        "use_case": name, "version": 1, "window_start": now, "window_end": now, "run": run,
        "decision": action, "figures": {"drift": {}, "decision": decision},
    }  # fmt: skip
    with database.begin() as connection:
        connection.execute(insert(monitoring_result), row)


def send(context, **states):
    ti = Task(states=states.get("states", {"train": "failed"}), successes=states.get("successes", {}))
    return SendAlertsOperator(task_id="send").execute(context(ti=ti))


def fail(database, name, **changes):
    dag_id = f"{name}_training"
    failure = RunFailure(
        name, "failed", dag_id, "run_1", "train", reason="no memory", link="https://log", successes=2
    )
    with database.begin() as connection:
        record_failure(connection, replace(failure, **changes), actor="airflow")


def test_incident_is_sent_once_and_resolved(alerted, received, database, context):
    name = alerted(*CHANNELS)
    assert send(context) == {name: ["drift"]}
    assert send(context) == {}
    (slack_path, slack), (pager_path, pager) = received
    assert (slack_path, pager_path) == ("/T0/B0/secret", "/v2/enqueue")
    assert f"[open] {name}: drift" in slack["text"]
    assert "drift in 2 of 3 checks {{ 1/0 }}" in slack["text"]
    assert "airworthy/docs/runbooks/drift-alarm.md" in slack["text"]
    assert f"airworthy/models/{name}" in slack["text"]
    assert (pager["status"], pager["began"][0]["kind"], pager["ended"]) == ("open", "drift", [])
    decide(database, name, "nothing", "b")
    assert send(context) == {name: ["drift"]}
    assert received[-1][1]["status"] == "resolved"
    assert len(received) == 4


def test_receiver_that_is_away_is_tried_again(alerted, received, monkeypatch, context):
    name = alerted(CHANNELS[1])
    connection = json.dumps({"conn_type": "http", "host": "http://127.0.0.1:9"})
    working = os.environ["AIRFLOW_CONN_PAGER"]
    monkeypatch.setenv("AIRFLOW_CONN_PAGER", connection)
    with pytest.raises(AttentionNeeded, match="webhook pager about"):
        send(context)
    monkeypatch.setenv("AIRFLOW_CONN_PAGER", working)
    assert send(context) == {name: ["drift"]}


def test_one_channel_that_fails_does_not_stop_the_others(alerted, received, context):
    alerted(WebhookChannel(connection="undefined"), *CHANNELS)
    with pytest.raises(AttentionNeeded, match="webhook undefined"):
        send(context)
    assert len(received) == 2
    with pytest.raises(AttentionNeeded, match="webhook undefined"):
        send(context)
    assert len(received) == 2, "only the one that failed is tried again"


def test_channel_that_comes_back_is_told_alone(alerted, received, monkeypatch, context):
    name = alerted(*CHANNELS)
    working = os.environ["AIRFLOW_CONN_PAGER"]
    away = json.dumps({"conn_type": "http", "host": "http://127.0.0.1:9"})
    monkeypatch.setenv("AIRFLOW_CONN_PAGER", away)
    with pytest.raises(AttentionNeeded, match="webhook pager"):
        send(context)
    monkeypatch.setenv("AIRFLOW_CONN_PAGER", working)
    assert send(context) == {name: ["drift"]}
    assert [path for path, _ in received] == ["/T0/B0/secret", "/v2/enqueue"]


def test_failed_task_is_told_until_it_succeeds(alerted, received, database, context):
    name = alerted(CHANNELS[1])
    decide(database, name, "nothing", "b")
    fail(database, name)
    assert send(context) == {name: [f"failed {name}_training.train"]}
    assert send(context, successes={"train": 2}) == {}
    began = received[0][1]["began"][0]
    assert (began["kind"], began["reason"], began["link"]) == ("failed", "no memory", "https://log")
    assert send(context, successes={"train": 3}) == {name: [f"failed {name}_training.train"]}
    assert received[-1][1]["status"] == "resolved"


def test_failure_without_a_use_case_goes_to_the_project(received, monkeypatch, database, context):
    fail(database, "flights")
    assert send(context) == {}
    channel = '[{"kind": "webhook", "connection": "pager"}]'
    monkeypatch.setenv("AIRWORTHY_ALERT_CHANNELS", channel)
    settings.cache_clear()
    assert send(context) == {"flights": ["failed flights_training.train"]}
    assert "models/flights" not in received[0][1]["text"]
    assert send(context, states={"train": "success"}) == {"flights": ["failed flights_training.train"]}
    assert send(context, states={"train": "success"}) == {}


def test_email_has_the_title_as_its_subject(alerted, monkeypatch, context):
    extra = {"disable_ssl": True, "disable_tls": True, "from_email": "airworthy@example.com"}
    mail = {"conn_type": "smtp", "host": "mail.example.com", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(mail))
    name = alerted(EmailChannel(to=("team@example.com",)))
    with mock.patch("smtplib.SMTP", autospec=True) as server:
        assert send(context) == {name: ["drift"]}
    message = email.message_from_string(server.return_value.sendmail.call_args.kwargs["msg"])
    assert message["Subject"] == f"[open] {name}: drift"
    assert message["To"] == "team@example.com"
    (part,) = message.get_payload()
    assert "drift in 2 of 3 checks" in part.get_payload(decode=True).decode()


def test_model_without_channels_sends_nothing(alerted, received, context):
    alerted()
    assert send(context) == {}
    assert received == []
