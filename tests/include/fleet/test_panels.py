"""Panels of a model's page, from the database."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, text

from include.database.ledger import Entry, append
from include.database.tables import inference_log, monitoring_result
from include.fleet.panels import PANELS, describe_figures

NAME = "flight_delay"
READERS = {panel.name: panel.read for panel in PANELS}


def read(database, panel):
    with database.connect() as connection:
        return READERS[panel](connection, NAME)


@pytest.mark.parametrize("panel", READERS)
def test_panel_of_a_new_model_says_why_it_is_empty(database, panel):
    content = read(database, panel)
    assert not content.rows
    assert content.note.endswith(".")


def test_traffic_counts_requests_by_version_and_role(database):
    now = text("clock_timestamp()")
    with database.begin() as connection:
        for number, (version, role, status) in enumerate(
            [
                (1, "champion", 200),
                (1, "champion", 200),
                (1, "champion", 500),
                (2, "challenger", 400),
                (2, "shadow", 200),
            ]
        ):
            row = {"use_case": NAME, "request_id": str(number), "version": version, "role": role}
            values = row | {"received_at": now, "latency_ms": 5.0, "status": status}
            connection.execute(insert(inference_log).values(values))
    content = read(database, "traffic")
    assert [row[:6] for row in content.rows] == [
        ("version 2", "challenger", 1, "25.0%", 0, 1),
        ("version 2", "shadow", 1, "", 0, 0),
        ("version 1", "champion", 3, "75.0%", 1, 0),
    ]
    lines = content.charts[0].lines
    assert {name: sum(values) for name, values in lines.items()} == {
        "1 champion": 3, "2 challenger": 1, "2 shadow": 1,
    }  # fmt: skip
    assert len(content.charts[0].moments) == 60


def test_gates_are_those_of_the_last_training(database):
    gate = {"gate": "threshold", "outcome": "fail", "severity": "block", "reason": "0.4 is below 0.6"}
    with database.begin() as connection:
        append(connection, Entry(NAME, "registered", "nightly", "passed", 1, {"gates": []}))
        evidence = {"gates": [gate | {"figures": {"value": 0.4, "bins": [1, 2]}}]}
        append(connection, Entry(NAME, "refused", "nightly", "1 gate failed", None, evidence))
    content = read(database, "gates")
    assert content.rows == [("threshold", "fail", "block", "0.4 is below 0.6", "value 0.4")]
    assert content.note.startswith("Refused on ")


def test_monitoring_panels_show_the_last_runs(database):
    figures = {
        "drift": {"outcome": "drift", "reason": "2 of 2", "share": 1.0, "columns": {"b": False, "a": True}},
        "quality": {"outcome": "good", "labelled": 9, "completeness": 0.5, "skill": 0.25, "reason": "fine"},
        "service": {"outcome": "met", "requests": 10, "failed": 0, "availability": 1.0, "budget_left": 1.0},
        "decision": {"action": "retrain", "reason": "drift in 2 of 3 checks"},
    }
    row = {"use_case": NAME, "version": 3, "window_start": "2013-07-01+00", "window_end": "2013-07-02+00"}
    with database.begin() as connection:
        values = row | {"run": "a", "figures": figures, "decision": "retrain"}
        connection.execute(insert(monitoring_result), values)
    assert read(database, "drift").rows == [("a", "drift"), ("b", "no drift")]
    assert read(database, "quality").rows[0][1:] == (3, "good", 9, "50%", "0.25", "fine")
    assert read(database, "service").rows[0][2:] == ("met", 10, 0, "100.000%", "", "100%")
    assert read(database, "decisions").rows[0][2:] == ("retrain", "drift in 2 of 3 checks")
    assert read(database, "quality").charts[0].lines == {"skill": [0.25], "completeness": [0.5]}


def test_figures_of_a_gate_without_its_lists():
    assert describe_figures({"low": 0.123456, "n": 3, "bins": [1], "none": None}) == "low 0.1235, n 3"
    assert describe_figures(None) == ""
