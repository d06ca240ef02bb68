from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial

import httpx
import pytest
from sqlalchemy import create_engine
from starlette.applications import Starlette

from include.release import rollout
from include.serving.controller.history_api import history_routes


def get_history(engine, query: str = "") -> httpx.Response:
    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(Starlette(routes=history_routes(engine)))
        async with httpx.AsyncClient(transport=transport, base_url="http://controller") as client:
            return await client.get(f"/models/delay/history{query}")

    return asyncio.run(get())


@pytest.fixture
def ask(database):
    lease = rollout.begin(database, "delay", 7, owner="run", actor="nightly")
    rollout.promote(database, lease, reason="better", evidence={"run": "r"})
    return partial(get_history, database)


def test_the_champions_are_listed(ask):
    (entry,) = ask().json()["champions"]
    assert (entry["version"], entry["event"], entry["actor"]) == (7, "promoted", "nightly")


@pytest.mark.parametrize("at", ["2100-01-01T00:00:00Z", "2100-01-01T00:00:00+02:00"])
def test_the_champion_at_a_time_has_its_steps(ask, at):
    content = ask(f"?at={at}").json()
    assert content["name"] == "delay"
    champion = content["champion"]
    assert (champion["version"], champion["by"], champion["reason"]) == (7, "nightly", "better")
    assert [step["event"] for step in champion["steps"]] == ["staged", "promoted"]
    assert datetime.fromisoformat(champion["since"]) <= datetime.now(UTC)


def test_before_the_first_champion_is_404(ask):
    response = ask("?at=2001-01-01T00:00:00Z")
    assert (response.status_code, response.json()["message"]) == (404, "delay had no champion at that time.")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?at=yesterday", "give a time"),
        ("?at=2026-05-03T12:00:00", "no time zone"),
        ("?limit=0", "1 to 200"),
        ("?limit=201", "1 to 200"),
        ("?limit=many", "1 to 200"),
        ("?limit=-1", "1 to 200"),
    ],
)
def test_an_invalid_parameter_is_rejected(ask, query, message):
    response = ask(query)
    assert response.status_code == 400
    assert message in response.json()["message"]


def test_an_unreachable_database_is_503(free_port):
    engine = create_engine(f"postgresql+psycopg2://user@127.0.0.1:{free_port}/nothing")
    assert get_history(engine).status_code == 503
