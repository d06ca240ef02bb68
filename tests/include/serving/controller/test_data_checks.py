from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import insert

from include.database.table_checks import newest_checks
from include.database.tables import gate_result
from include.serving.controller.data_checks import DataChecks


@pytest.fixture
def check(database):
    """Return a function that records a check of a table."""

    def record(subject, *, passed, rows, quarantined=0):
        values = {"passed": passed, "rows": rows, "quarantined": quarantined}
        row = {"subject": subject, "run": "run", "partition": "2013-07-01", "results": [], **values}
        with database.begin() as connection:
            connection.execute(insert(gate_result).values(row))

    return record


def test_newest_check_of_each_table_is_shown(database, check):
    check("flights", passed=True, rows=900)
    check("weather", passed=True, rows=24)
    check("flights", passed=False, rows=800, quarantined=12)
    check("flight_delay", passed=True, rows=1)
    with database.connect() as connection:
        checks = newest_checks(connection, ["flights", "weather", "never_checked"])
    registry = CollectorRegistry()
    registry.register(DataChecks(checks))
    text = generate_latest(registry).decode()
    assert 'airworthy_data_check_passed{table="flights"} 0.0\n' in text
    assert 'airworthy_data_rows{table="flights"} 800.0\n' in text
    assert 'airworthy_data_rejected_rows{table="flights"} 12.0\n' in text
    assert 'airworthy_data_check_passed{table="weather"} 1.0\n' in text
    assert "never_checked" not in text
    assert "flight_delay" not in text


def test_without_tables_nothing_is_read(database, check):
    check("flights", passed=True, rows=900)
    with database.connect() as connection:
        assert newest_checks(connection, []) == {}
