from __future__ import annotations

from datetime import date

import pytest

from include.annotation.label_rows import Event
from include.annotation.sheet import QueueRow
from include.cli.governance import annotate
from include.database.tables import inference_log
from include.declarations import monitoring

FLIGHT = "2013-07-01-UA1545"


@pytest.fixture
def landing(tmp_path, database, set_settings):
    """Return the landing folder of a stack that answered a request for a flight of 1 July."""
    set_settings(
        landing_uri=tmp_path / "landing", lake_uri=tmp_path / "lake", pseudonym_key="key",
        database_url=database.url.render_as_string(hide_password=False),
    )  # fmt: skip
    row = {"flight_id": FLIGHT, "scheduled_departure": "2013-07-01T12:00:00Z"}
    with database.begin() as connection:
        connection.execute(
            inference_log.insert(),
            {
                "use_case": "air_time", "request_id": "r", "version": 1, "role": "champion",
                "received_at": "2026-01-01T00:00Z", "latency_ms": 4.0, "status": 200, "inputs": [row],
                "predictions": [100.0],
            },
        )  # fmt: skip
    return tmp_path / "landing"


def test_a_correction_is_written_and_ingested(landing, api, airworthy):
    result = airworthy("correct", "r", "90", "--reason", "the tower's log")
    assert (result.code, result.err) == (0, "")
    assert result.out == (
        "arrivals: 1 of 1 labels changed in 2013-07-01\ningested again: http://airflow/run\n"
    )
    assert f"{FLIGHT},,,90.0" in (landing / "arrivals" / "2013-07-01.csv").read_text()
    api.trigger.assert_called_once_with("arrivals_ingestion", {"first": "2013-07-01", "last": "2013-07-01"})
    api.require_success.assert_called_once()


def test_the_same_correction_again_runs_nothing(landing, api, airworthy):
    airworthy("correct", "r", "90", "--reason", "log", "--no-run")
    result = airworthy("correct", "r", "90", "--reason", "log")
    assert result.out == "arrivals: 0 of 1 labels changed, the files had them already\n"
    api.trigger.assert_not_called()


def test_a_correction_as_json_has_its_partitions(landing, api, airworthy):
    value = airworthy("correct", "r", "90", "--reason", "log", "--json").value
    assert value == {
        "use_case": "air_time", "dataset": "arrivals", "labels": 1, "changed": 1,
        "partitions": ["2013-07-01"], "all_partitions": ["2013-07-01"], "runs": ["http://airflow/run"],
    }  # fmt: skip


def test_an_unknown_request_fails_with_one_message(landing, airworthy):
    result = airworthy("correct", "nothing", "90", "--reason", "log")
    assert (result.code, result.out) == (1, "")
    assert "No request nothing is in the access log or the inference log" in result.err


def test_rows_are_exported_and_taken_back(landing, api, airworthy, monkeypatch, tmp_path):
    queue = [QueueRow(Event((FLIGHT,), date(2013, 7, 1)), "drifted", "100", {"carrier": "UA"})]
    monkeypatch.setattr(annotate, "_read_queue", lambda model, rows: queue)
    file = tmp_path / "rows.csv"
    assert airworthy("annotate", "export", "air_time").out.count("\n") == 2
    result = airworthy("annotate", "export", "air_time", "--output", file)
    assert result.out == f"1 rows of air_time are in {file}\n"
    refused = airworthy("annotate", "import", "air_time", file, "--reason", "checked")
    assert (refused.code, "no label: fill in" in refused.err) == (1, True)
    file.write_text(file.read_text().replace(",drifted,100,,", ",drifted,100,90,"))
    result = airworthy("annotate", "import", "air_time", file, "--reason", "checked")
    assert result.out.startswith("arrivals: 1 of 1 labels changed in 2013-07-01\n")


def test_a_file_that_is_no_text_is_refused(landing, airworthy, tmp_path):
    file = tmp_path / "rows.xlsx"
    file.write_bytes(b"PK\xff\xfe")
    result = airworthy("annotate", "import", "air_time", file, "--reason", "checked")
    assert result.code == 1
    assert "cannot be read as text in UTF-8" in result.err


def test_an_export_is_not_larger_than_an_import(airworthy):
    assert annotate.MAX_QUEUE_ROWS == monitoring.MAX_QUEUE_ROWS
    assert airworthy("annotate", "export", "air_time", "--rows", annotate.MAX_QUEUE_ROWS + 1).code == 2


def test_without_a_champion_nothing_is_exported(landing, airworthy):
    result = airworthy("annotate", "export", "air_time")
    assert result.code == 1
    assert "air_time has no champion yet" in result.err
