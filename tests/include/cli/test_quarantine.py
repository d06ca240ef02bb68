from __future__ import annotations

from datetime import UTC, date, datetime
from unittest.mock import create_autospec

import pandas as pd
import pytest

from include.data.lake.delta_tables import Lake
from include.data.quarantine.rows import to_record
from include.data.validation.batch import Batch
from include.data.validation.results import FAILED, REASONS
from include.stack import airflow_api
from include.stack.airflow_api import AirflowApi, RunFailed

DAYS = [date(2013, 7, 1), date(2013, 7, 2)]
REJECTED_AT = datetime(2013, 7, 3, tzinfo=UTC)


@pytest.fixture
def queue(tmp_path, set_settings):
    """Put two rejected flights of the first day and one of the second into the quarantine."""
    set_settings(lake_uri=tmp_path, database_url="postgresql+psycopg2://nobody@127.0.0.1:9/none")
    rows = pd.DataFrame(
        {
            "_airworthy_day": ["2013-07-01", "2013-07-01", "2013-07-02"],
            "flight_id": ["a", "b", "c"],
            "distance": [-1, -2, -3],
            FAILED: "expect_column_values_to_be_between(distance)",
            REASONS: ["distance is below 1", "distance is below 1", "an unknown carrier"],
        }
    )
    records = to_record(Batch.of(rows, DAYS), run="flights_ingestion/1/1", at=REJECTED_AT)
    Lake(str(tmp_path)).publish("flights_quarantine", records, DAYS, metadata={})
    return dict(zip(records["flight_id"], records["_row_id"], strict=True))


@pytest.fixture
def api(monkeypatch):
    """Return a double of Airflow's API, whose runs succeed."""
    api = create_autospec(AirflowApi, instance=True)
    api.trigger.return_value = "manual__1"
    api.link.return_value = "http://airflow/run"
    monkeypatch.setattr(airflow_api, "AirflowApi", lambda _: api)
    return api


def test_list_counts_rows_by_day_and_reason(queue, airworthy):
    value = airworthy("quarantine", "list", "flights", "--json").value
    assert value["rows"] == 3
    counts = [(row["day"], row["reasons"], row["rows"]) for row in value["reasons"]]
    assert counts == [("2013-07-01", "distance is below 1", 2), ("2013-07-02", "an unknown carrier", 1)]
    result = airworthy("quarantine", "list", "flights")
    assert result.out.startswith("flights: 3 rejected rows wait\n")


def test_list_of_an_empty_quarantine_counts_0(tmp_path, queue, airworthy):
    assert airworthy("quarantine", "list", "weather").out == "weather: 0 rejected rows wait\n"
    value = airworthy("quarantine", "list", "weather", "--json").value
    assert value == {"dataset": "weather", "rows": 0, "reasons": []}


@pytest.mark.parametrize(
    ("options", "flights"),
    [
        (["--first", "2013-07-02"], ["c"]),
        (["--first", "2013-07-01", "--last", "2013-07-02"], ["a", "b", "c"]),
        (["--reason", "carrier"], ["c"]),
    ],
)
def test_show_prints_the_chosen_rows(queue, airworthy, options, flights):
    value = airworthy("quarantine", "show", "flights", *options, "--json").value
    assert sorted(row["flight_id"] for row in value["values"]) == flights


def test_show_finds_rows_by_id(queue, airworthy):
    value = airworthy("quarantine", "show", "flights", "--row", queue["b"], "--json").value
    assert [(row["flight_id"], row["distance"]) for row in value["values"]] == [("b", "-2")]


def test_last_without_first_is_refused(queue, airworthy):
    assert airworthy("quarantine", "show", "flights", "--last", "2013-07-02").code == 2


def test_release_runs_the_dag_and_shows_what_stays(api, airworthy):
    api.xcom.return_value = {"released": 2, "kept": {"7b57": "distance is below 1"}}
    options = ["--first", "2013-07-01", "--comment", "a new route"]
    result = airworthy("quarantine", "release", "flights", *options)
    assert result.code == 0
    assert "flights: 2 rows released, 1 kept (http://airflow/run)" in result.out
    assert "7b57 stays: distance is below 1" in result.out
    days = {"first": "2013-07-01", "last": None}
    conf = {"action": "release", **days, "rows": [], "reason": None, "comment": "a new route"}
    api.trigger.assert_called_once_with("flights_quarantine", conf)


def test_discard_as_json_counts_the_rows(api, airworthy):
    api.xcom.return_value = 1
    arguments = ["quarantine", "discard", "flights", "--row", "7b57", "--comment", "a test flight", "--json"]
    value = airworthy(*arguments).value
    run = {"run": "manual__1", "link": "http://airflow/run"}
    assert value == {"dataset": "flights", **run, "discarded": 1}


def test_failed_release_ends_with_1_and_its_reason(api, airworthy):
    api.require_success.side_effect = RunFailed("flights_quarantine.release failed: none may be released")
    result = airworthy("quarantine", "release", "flights")
    assert (result.code, result.out) == (1, "")
    assert result.err == "flights_quarantine.release failed: none may be released\n"


def test_discard_without_a_comment_is_refused(api, airworthy):
    assert airworthy("quarantine", "discard", "flights").code == 2
    api.trigger.assert_not_called()
