"""Datasets and feature views with their last check."""

from __future__ import annotations

from sqlalchemy import insert

from include.catalog import catalog
from include.database.table_checks import LEAKAGE_CHECK
from include.database.tables import gate_result
from include.fleet.tables import read_tables


def read(database, visible=None):
    with database.connect() as connection:
        return {row.name: row for row in read_tables(connection, catalog(), visible)}


def test_each_table_has_its_last_check_and_its_readers(database):
    row = {"subject": "arrivals", "results": [], "rows": 900}
    with database.begin() as connection:
        for number, passed in enumerate((True, False)):
            values = {"run": str(number), "partition": f"2013-07-0{number + 1}", "passed": passed}
            connection.execute(insert(gate_result), row | values | {"quarantined": number})
    tables = read(database)
    arrivals = tables["arrivals"]
    assert (arrivals.kind, arrivals.dag_id, arrivals.partition) == (
        "dataset",
        "arrivals_ingestion",
        "2013-07-02",
    )
    assert (arrivals.passed, arrivals.rows, arrivals.quarantined) == (False, 900, 1)
    assert "flight_delay" in arrivals.readers
    assert tables["flight_features"].dag_id == "flight_features_features"
    assert tables["flight_features"].passed is None


def test_only_visible_tables_are_read(database):
    assert set(read(database, {"arrivals_ingestion"})) == {"arrivals"}


def test_leakage_check_that_passes_does_not_hide_the_gate(database):
    leakage = [{"expectation": LEAKAGE_CHECK}]
    row = {"subject": "flight_features", "run": "r", "partition": "2013-07-01", "quarantined": 0}
    gate = row | {"results": [], "rows": 900, "passed": True}
    with database.begin() as connection:
        connection.execute(
            insert(gate_result), [gate, row | {"results": leakage, "rows": 24, "passed": True}]
        )
    assert read(database)["flight_features"].rows == 900
    with database.begin() as connection:
        connection.execute(insert(gate_result), row | {"results": leakage, "rows": 24, "passed": False})
    assert read(database)["flight_features"].passed is False
