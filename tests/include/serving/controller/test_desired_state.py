from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from include.database.tables import live_state, server_memory
from include.release import rollout
from include.serving.controller.desired_state import LiveState, StateStore


@pytest.fixture
def make_store(database_url):
    stores = []

    def make(url: str = database_url) -> StateStore:
        store = StateStore(url)
        stores.append(store)
        store.start()
        return store

    yield make
    for store in stores:
        store.close()


def test_desired_states_are_read_when_they_change(make_store, database, wait_for) -> None:
    store = make_store()
    wait_for(lambda: store.states == [])
    rollout.begin(database, "delay", 7, owner="run", actor="nightly")
    wait_for(lambda: bool(store.states))
    (state,) = store.states
    assert (state.use_case, state.challenger) == ("delay", 7)
    assert store.changed.is_set()


def test_live_states_are_written(make_store, database, wait_for) -> None:
    store = make_store()
    store.report("delay", LiveState(3, ready=False, detail={"reason": "starting"}))
    store.report("delay", LiveState(3, ready=True, detail={"reason": ""}))

    def read() -> list[tuple[int, bool]]:
        with database.connect() as connection:
            rows = connection.execute(select(live_state.c.generation, live_state.c.ready))
            return [tuple(row) for row in rows]

    wait_for(lambda: read() == [(3, True)])


def test_memory_of_servers_is_written(make_store, database, wait_for) -> None:
    sample = {"use_case": "delay", "version": 1, "replica": 1, "bytes": 250_000_000}
    make_store().report_memory([sample])

    def read() -> list[int]:
        with database.connect() as connection:
            return list(connection.scalars(select(server_memory.c.bytes)))

    wait_for(lambda: read() == [250_000_000])


def test_live_since_stays_until_a_break_or_a_generation(make_store, database, wait_for) -> None:
    store = make_store()

    def live_since(generation: int, number: int, *, ready: bool = True) -> str:
        store.report("delay", LiveState(generation, ready=ready, detail={"number": number}))
        wait_for(lambda: read().get("number") == number)
        return read()["live_since"]

    def read() -> dict[str, Any]:
        with database.connect() as connection:
            return connection.scalar(select(live_state.c.detail)) or {}

    first = live_since(3, 1)
    assert live_since(3, 2) == first
    second = live_since(4, 3)
    assert second > first
    live_since(4, 4, ready=False)
    assert live_since(4, 5) > second


def test_a_second_controller_waits_for_the_lock(make_store, wait_for) -> None:
    first = make_store()
    wait_for(lambda: first.states is not None)
    second = make_store()
    wait_for(lambda: second.problem == "another controller uses this database")
    assert second.states is None
    first.close()
    wait_for(lambda: second.states is not None)
    assert second.problem == ""


def test_an_unreachable_database_is_a_problem(make_store, free_port, wait_for) -> None:
    store = make_store(f"postgresql+psycopg2://user@127.0.0.1:{free_port}/airworthy")
    wait_for(lambda: store.problem.startswith("the database cannot be reached"))
    assert store.states is None
