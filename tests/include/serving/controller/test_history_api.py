from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine
from starlette.applications import Starlette
from starlette.testclient import TestClient

from include.release import rollout
from include.serving.controller.history_api import routes


@pytest.fixture
def ask(database):
    lease = rollout.begin(database, "delay", 7, owner="run", actor="nightly")
    rollout.promote(database, lease, reason="better", evidence={"run": "r"})
    client = TestClient(Starlette(routes=routes(database)))
    return lambda query="": client.get(f"/models/delay/history{query}")


def test_the_changes_of_champion_are_listed(ask):
    (entry,) = ask().json()["champions"]
    assert (entry["version"], entry["event"], entry["actor"]) == (7, "promoted", "nightly")


@pytest.mark.parametrize("moment", ["2100-01-01T00:00:00Z", "2100-01-01T00:00:00+02:00"])
def test_the_champion_of_a_moment_is_told_with_its_steps(ask, moment):
    content = ask(f"?at={moment}").json()
    assert content["name"] == "delay"
    champion = content["champion"]
    assert (champion["version"], champion["by"], champion["reason"]) == (7, "nightly", "better")
    assert [step["event"] for step in champion["steps"]] == ["staged", "promoted"]
    assert datetime.fromisoformat(champion["since"]) <= datetime.now(UTC)


def test_before_the_first_champion_there_was_none(ask):
    response = ask("?at=2001-01-01T00:00:00Z")
    assert (response.status_code, response.json()["message"]) == (404, "delay had no champion then.")


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("?at=yesterday", "give a moment"),
        ("?at=2026-05-03T12:00:00", "no time zone"),
        ("?limit=0", "1 to 200"),
        ("?limit=201", "1 to 200"),
        ("?limit=many", "1 to 200"),
        ("?limit=-1", "1 to 200"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_with_the_reason(ask, query, says):
    response = ask(query)
    assert response.status_code == 400
    assert says in response.json()["message"]


def test_a_database_that_is_away_is_no_error_of_the_caller(free_port):
    engine = create_engine(f"postgresql+psycopg2://nobody@127.0.0.1:{free_port}/nothing")
    response = TestClient(Starlette(routes=routes(engine))).get("/models/delay/history")
    assert response.status_code == 503
