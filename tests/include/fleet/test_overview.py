"""The fleet: one entry for each model, searched, sorted and paged."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import insert, text

from include.catalog import catalog
from include.database.ledger import Entry, append
from include.database.tables import monitoring_result
from include.declarations import Fallback
from include.fleet.overview import read_fleet, select_page
from include.release import controls, rollout

NAME = "flight_delay"


def read(database, visible=None):
    with database.connect() as connection:
        return {entry.name: entry for entry in read_fleet(connection, catalog().use_cases, visible)}


@pytest.fixture
def released(database):
    """Return the database in which version 1 is champion and version 2 gets a quarter of the requests."""
    with database.begin() as connection:
        append(connection, Entry(NAME, "registered", "nightly", "passed", 1))
    lease = rollout.begin(database, NAME, 1, owner="run-1", actor="nightly")
    rollout.promote(database, lease, reason="the first", evidence={})
    with database.begin() as connection:
        append(connection, Entry(NAME, "registered", "nightly", "passed", 2))
    lease = rollout.begin(database, NAME, 2, owner="run-2", actor="nightly")
    rollout.shift(database, lease, weight=2_500, shadow_share=0, reason="25 %", key="run-2/25")
    return database


def test_model_that_was_never_released_says_so(database):
    entry = read(database)[NAME]
    assert (entry.status, entry.champion, entry.verdict, entry.drift) == ("not released", None, "", "")
    assert entry.owner == catalog().use_cases[NAME].owner


def test_release_in_progress_shows_both_versions(released):
    entry = read(released)[NAME]
    assert (entry.status, entry.champion, entry.challenger) == ("releasing", 1, 2)
    assert (entry.challenger_share, entry.verdict, entry.event) == (0.25, "registered 2", "shifted")
    assert entry.champion_since is not None


def test_champion_that_is_not_monitored_says_so(released):
    assert read(released)[NAME].silent_since is None
    with released.begin() as connection:
        connection.execute(text("ALTER TABLE ledger DISABLE TRIGGER ALL"))
        connection.execute(text("UPDATE ledger SET at = at - interval '3 days'"))
    assert read(released)[NAME].silent_since is not None


def test_last_monitoring_run_gives_the_outcomes(released):
    row = {"use_case": NAME, "version": 1, "window_start": "2013-07-01+00", "window_end": "2013-07-02+00"}
    for run, outcome in (("a", "no_drift"), ("b", "drift")):
        figures = {"drift": {"outcome": outcome}, "service": {"outcome": "met", "budget_left": 0.5}}
        with released.begin() as connection:
            values = row | {"run": run, "figures": figures, "decision": "nothing"}
            connection.execute(insert(monitoring_result), values)
    entry = read(released)[NAME]
    assert (entry.drift, entry.service, entry.budget_left, entry.quality) == ("drift", "met", 0.5, "")


def test_switched_off_and_frozen_models_say_so(released):
    controls.switch_off(released, NAME, Fallback(), actor="ann", reason="nonsense")
    controls.freeze(released, NAME, actor="ann", reason="holidays")
    entry = read(released)[NAME]
    assert (entry.status, entry.frozen, entry.challenger) == ("switched off", "holidays", None)


def test_model_without_a_declaration_stays_in_the_fleet(database):
    rollout.begin(database, "removed_model", 1, owner="run-1", actor="nightly")
    entry = read(database)["removed_model"]
    assert (entry.declared, entry.owner, entry.status) == (False, "", "releasing")


def test_only_visible_models_are_read(released):
    assert set(read(released, {"air_time"})) == {"air_time"}


def test_page_has_the_rows_that_match_in_order(database):
    template = read(database)[NAME]
    entries = [replace(template, name=f"model_{number:03}", champion=number or None) for number in range(120)]
    first = select_page(entries, sort="champion", descending=True, rows=50)
    assert (first.total, first.pages) == (120, 3)
    assert [entry.champion for entry in first.entries[:2]] == [119, 118]
    last = select_page(entries, sort="champion", descending=True, page=99, rows=50)
    assert (last.page, last.entries[-1].champion) == (3, None)
    assert [entry.name for entry in select_page(entries, search="MODEL_007").entries] == ["model_007"]


def test_unknown_column_to_sort_by_is_named(database):
    with pytest.raises(ValueError, match="sort=shoe_size: there is no such column; one of name"):
        select_page([], sort="shoe_size")


def test_thousand_models_are_read_completely(database):
    names = [f"model_{number:04}" for number in range(1_000)]
    with database.begin() as connection:
        values = [{"name": name} for name in names]
        connection.execute(text("INSERT INTO desired_state (use_case, champion) VALUES (:name, 1)"), values)
        connection.execute(
            text(
                "INSERT INTO ledger (use_case, event, version, actor, reason) "
                "SELECT :name, 'promoted', 1, 'nightly', 'better'"
            ),
            values,
        )
    entries = read(database)
    assert set(names) <= set(entries)
