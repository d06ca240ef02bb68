"""Panels of a model's page, from the database."""

from __future__ import annotations

import uuid

import pytest
from sqlalchemy import insert, text

from include.database.ledger import Entry, append
from include.database.tables import access_log, inference_log, monitoring_result
from include.fleet.panels import PANELS, describe_figures
from include.settings import settings
from tests.conftest import free_ports

NAME = "flight_delay"
REQUEST = {
    "use_case": NAME,
    "endpoint": "invocations",
    "caller": "",
    "client": "127.0.0.1",
    "received_at": text("clock_timestamp()"),
    "eligible": True,
    "redispatched": False,
    "termination": "--",
    "latency_ms": 5.0,
    "bytes_in": 10,
    "bytes_out": 10,
}
SLICE = {"by": "origin", "slice": "JFK", "metric": "mae", "value": 9.0, "interval": [8, 10], "overall": 5.0}
SLICE |= {"is_worse": True}
READERS = {panel.name: panel.read for panel in PANELS}


@pytest.fixture(autouse=True)
def no_stack(monkeypatch):
    """Keep the panel of the servers from a stack that runs on this machine."""
    for name, port in zip(("CONTROLLER", "GATEWAY"), free_ports(2), strict=True):
        monkeypatch.setenv(f"AIRWORTHY_{name}_PORT", str(port))
    settings.cache_clear()
    yield
    settings.cache_clear()


def read(database, panel):
    with database.connect() as connection:
        return READERS[panel](connection, NAME)


@pytest.mark.parametrize("panel", READERS)
def test_panel_of_a_new_model_says_why_it_is_empty(database, panel):
    content = read(database, panel)
    assert not content.rows
    assert content.note.endswith(".")


def write_requests(database, *responses):
    with database.begin() as connection:
        for number, (first, last, status) in enumerate(responses):
            versions = {"first_version": first, "version": last, "retries": int(first != last)}
            request = REQUEST | versions | {"id": uuid.uuid4(), "request_id": str(number), "status": status}
            connection.execute(insert(access_log).values(request))


def test_traffic_is_what_callers_saw(database):
    write_requests(database, (1, 1, 200), (2, 1, 200), (2, 2, 400), (1, 1, 500), (None, None, 503))
    row = {"use_case": NAME, "request_id": "copy", "version": 2, "role": "shadow", "status": 200}
    with database.begin() as connection:
        values = row | {"received_at": text("clock_timestamp()"), "latency_ms": 5.0}
        connection.execute(insert(inference_log).values(values))
    content = read(database, "traffic")
    assert [row[:6] for row in content.rows] == [
        ("version 2", 1, "20.0%", 0, 1, 0),
        ("version 1", 3, "60.0%", 1, 0, 1),
        ("no version", 1, "20.0%", 1, 0, 0),
    ]
    lines = content.charts[0].lines
    sums = {name: sum(values) for name, values in lines.items()}
    assert sums == {"no version": 1, "version 1": 3, "version 2": 1}
    assert len(content.charts[0].moments) == 60
    assert "version 2 got 1 copies" in content.note


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
        "quality": {
            "outcome": "good",
            "labelled": 9,
            "completeness": 0.5,
            "skill": 0.25,
            "reason": "fine",
            "shifts": {"label": {"drifted": True, "effect": 0.2}, "prediction": {"drifted": False}},
            "change_points": [{"day": "2013-06-30", "before": 0.1, "after": 0.2, "p_value": 0.001}],
            "worst_slices": [SLICE],
            "value": {
                "currency": "USD",
                "saved": 120.0,
                "lower": 80,
                "upper": 160,
                "total": 3e3,
                "return": 0.5,
            },
        },
        "service": {"outcome": "met", "requests": 10, "failed": 0, "availability": 1.0, "budget_left": 1.0},
        "decision": {"action": "retrain", "reason": "drift in 2 of 3 checks"},
    }
    row = {"use_case": NAME, "version": 3, "window_start": "2013-07-01+00", "window_end": "2013-07-02+00"}
    with database.begin() as connection:
        values = row | {"run": "a", "figures": figures, "decision": "retrain"}
        connection.execute(insert(monitoring_result), values)
    assert [row[:2] for row in read(database, "drift").rows] == [("a", "drift"), ("b", "no drift")]
    assert read(database, "quality").rows[0][1:] == (3, "good", 9, "50%", "0.25", "", "fine; label shift 0.2")
    assert read(database, "value").rows[0][2:] == (
        "120 USD (80 to 160)", "3,000 USD", "50%", "",
        "origin JFK: mae 9 (8 to 10), all rows 5, worse", "2013-06-30: loss 0.1, then 0.2",
    )  # fmt: skip
    assert read(database, "service").rows[0][2:] == ("met", 10, 0, "100.000%", "", "100%")
    assert read(database, "decisions").rows[0][2:] == ("retrain", "drift in 2 of 3 checks")
    assert read(database, "quality").charts[0].lines == {
        "skill": [0.25], "hindsight_skill": [None], "completeness": [0.5],
    }  # fmt: skip


def test_drift_panel_shows_the_most_important_shift_first(database):
    shift = {"distance": 0.5, "reason": "distance of the values 0.500", "importance": 0.7, "rank": 3.5}
    none = {"distance": 0.01, "reason": None, "importance": 0.3, "rank": 0.0}
    drift = {"outcome": "drift", "columns": {"a": False, "b": True}, "shifts": {"a": none, "b": shift}}
    drift |= {"served_rows": 12, "scored_rows": 3_000}
    row = {"use_case": NAME, "version": 3, "window_start": "2013-07-01+00", "window_end": "2013-07-02+00"}
    with database.begin() as connection:
        values = row | {"run": "a", "figures": {"drift": drift}, "decision": "nothing"}
        connection.execute(insert(monitoring_result), values)
    assert read(database, "drift").rows == [
        ("b", "drift", "70%", "0.5", "distance of the values 0.500"),
        ("a", "no drift", "30%", "0.01", ""),
    ]
    assert read(database, "drift").note.endswith("; 12 rows served, 3,000 scored in batches")


def test_figures_of_a_gate_without_its_lists():
    assert describe_figures({"low": 0.123456, "n": 3, "bins": [1], "none": None}) == "low 0.1235, n 3"
    assert describe_figures(None) == ""


def test_suspected_labels_are_those_of_the_last_training(database):
    item = {"label": "late", "suggested": "on time", "margin": 0.91234}
    item |= {"flight_id": "f1", "_airworthy_day": "2013-01-06"}
    suspected = {"count": 3, "rows": 5_000, "items": [item]}
    with database.begin() as connection:
        evidence = {"gates": [], "suspected_labels": suspected}
        append(connection, Entry(NAME, "registered", "nightly", "passed", 1, evidence))
    content = read(database, "suspected_labels")
    assert set(content.columns[:2]) == {"flight_id", "day"}
    assert content.columns[2:] == ("label", "suggested", "margin")
    assert content.rows[0][2:] == ("late", "on time", "0.9123")
    assert content.note == "3 of 5,000 test rows of the last training."
    with database.begin() as connection:
        evidence = {"gates": [], "suspected_labels": {"count": 0, "rows": 10, "items": []}}
        append(connection, Entry(NAME, "refused", "nightly", "a gate failed", None, evidence))
    content = read(database, "suspected_labels")
    assert (content.rows, content.note) == ((), "0 of 10 test rows of the last training.")
