from __future__ import annotations

import csv

import pytest
from sqlalchemy import text

from include.database.ledger import Entry, append
from include.release import rollout

NAME = "flight_delay"


@pytest.fixture
def released(database, database_url, set_settings):
    """Let `flight_delay` 1 be the champion, and `old` be a model of the ledger only."""
    set_settings(database_url=database_url)
    evidence = {"gates": [{"gate": "golden", "outcome": "pass", "severity": "block", "reason": "equal"}]}
    with database.begin() as connection:
        append(connection, Entry("old", "refused", "nightly", "worse"))
        append(connection, Entry(NAME, "registered", "nightly", "passed", 1, evidence))
        append(connection, Entry(NAME, "approved", "eve", "<b>fit</b>", 1))
    lease = rollout.begin(database, NAME, 1, owner="run-1", actor="nightly")
    rollout.promote(database, lease, reason="the first", evidence={})
    return database


@pytest.mark.usefixtures("released")
def test_status_shows_declared_models_and_searches_them(airworthy):
    models = {entry["name"]: entry for entry in airworthy("status", "--json").value}
    assert (models[NAME]["status"], models[NAME]["champion"]) == ("serving", 1)
    assert models["air_time"]["status"] == "not released"
    listed = airworthy("status", "--search", "serving").out
    assert NAME in listed
    assert "air_time" not in listed
    assert airworthy("status", "--search", "nothing_like_it").out == "models: none\n"


def test_status_says_that_a_champion_is_not_monitored(released, airworthy):
    with released.begin() as connection:
        connection.execute(text("ALTER TABLE ledger DISABLE TRIGGER ALL"))
        connection.execute(text("UPDATE ledger SET at = at - interval '3 days'"))
    assert "serving, not monitored" in airworthy("status").out


@pytest.mark.usefixtures("released")
def test_report_has_past_models_gates_and_approvals(airworthy, tmp_path):
    table = tmp_path / "fleet.csv"
    page = tmp_path / "fleet.html"
    result = airworthy("fleet", "report", "--csv", table, "--html", page)
    assert (result.code, "models" in result.out) == (0, True)
    rows = {row["name"]: row for row in csv.DictReader(table.open())}
    assert (rows["old"]["declared"], rows["old"]["refused"], rows["old"]["champion"]) == ("False", "1", "")
    row = rows[NAME]
    assert (row["champion"], row["gates"], row["by"], row["registered"]) == (
        "1",
        "golden: pass",
        "nightly",
        "1",
    )
    assert row["approvals"].startswith("eve on ")
    assert "&lt;b&gt;fit&lt;/b&gt;" in page.read_text()


@pytest.mark.usefixtures("released")
def test_report_without_a_place_says_what_is_missing(airworthy):
    result = airworthy("fleet", "report")
    assert (result.code, "--csv FILE, --html FILE or --json" in result.err) == (2, True)
