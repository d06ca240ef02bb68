from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert

from include.catalog import catalog
from include.database.tables import inference_log
from include.governance.dependents import model_dependents, snapshots_of_table, table_dependents
from include.release import rollout


@pytest.fixture
def connection(database):
    with database.connect() as connection:
        yield connection


def call(database, use_case, *, ago):
    row = {"use_case": use_case, "request_id": "a", "version": 3, "role": "champion", "status": 200}
    row |= {"received_at": datetime.now(UTC) - ago, "latency_ms": 1.0}
    with database.begin() as connection:
        connection.execute(insert(inference_log).values(row))


def test_dataset_needs_views_labels_and_served_models(connection, serve):
    serve("late", view="flight_features", labels="arrivals")
    dependents = table_dependents(connection, catalog(), "arrivals")
    assert [(dependent.kind, dependent.name) for dependent in dependents] == [
        ("label", "air_time"),
        ("label", "delay_band"),
        ("label", "flight_delay"),
        ("served model", "late"),
    ]
    assert table_dependents(connection, catalog(), "weather")[0].kind == "feature view"
    assert snapshots_of_table(connection, "arrivals") == ["late late-digest as of 2013-07-01"]


def test_unused_table_has_no_dependents(connection, serve):
    serve("late", champion=None)
    assert table_dependents(connection, catalog(), "repairs") == []
    assert snapshots_of_table(connection, "planes") == []


def test_model_with_recent_callers_is_needed(database, connection):
    call(database, "late", ago=timedelta(hours=1))
    call(database, "old", ago=timedelta(days=2))
    (dependent,) = model_dependents(connection, "late")
    assert str(dependent).startswith("callers late: 1 requests in the last 24 hours")
    assert model_dependents(connection, "old") == []


def test_model_in_a_rollout_is_needed(database, connection):
    rollout.begin(database, "late", 4, owner="late_deployment/1", actor="ann")
    (dependent,) = model_dependents(connection, "late")
    assert "version 4 is being rolled out by late_deployment/1" in str(dependent)
