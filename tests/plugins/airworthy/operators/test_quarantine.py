"""The operators that list, release and discard rejected rows by the parameters of a run."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from sqlalchemy import select

from airflow.sdk.exceptions import AirflowSkipException

from airworthy import assets
from airworthy.links import RejectedRowsLink
from airworthy.operators.quarantine import (
    DiscardQuarantineOperator,
    ReleaseQuarantineOperator,
    ShowQuarantineOperator,
)
from include.catalog import catalog
from include.data.quality_gate import run_quality_gate
from include.data.quarantine.queue import Quarantine, pending
from include.database.tables import ledger
from include.errors import DataError, QualityFailed
from include.storage import reports
from tests.contracts.frames import generate

FLIGHTS = catalog().datasets["flights"]
DAY = date(2013, 7, 1)


@pytest.fixture
def refused(lake, database):
    """Return the queue of flights: two of 400 were rejected on a published day, with its weather."""
    frame = generate(FLIGHTS.columns, 400, DAY).assign(_airworthy_day=f"{DAY}")
    frame["distance"] = [9_999.0, 9_998.0, *frame["distance"][2:]]
    report = run_quality_gate(FLIGHTS, frame, [DAY], lake=lake, engine=database, run="flights_ingestion/x/1")
    assert report.passed
    lake.publish("flights", report.accepted, [DAY], metadata={})
    for day in (DAY - timedelta(days=1), DAY):
        weather = generate(catalog().datasets["weather"].columns, 60, day).assign(_airworthy_day=f"{day}")
        lake.publish("weather", weather, [day], metadata={})
    return Quarantine(FLIGHTS, lake, database)


@pytest.fixture
def allowed(declare_dataset):
    """Declare that a flight may be as long as those that were rejected."""
    columns = tuple(
        column.model_copy(update={"maximum": 10_000}) if column.name == "distance" else column
        for column in FLIGHTS.columns
    )
    declare_dataset(FLIGHTS.model_copy(update={"columns": columns}))


def run(kind, context, **params):
    operator = kind(task_id="it", dataset="flights", action=params.get("action", ""))
    parameters = {"first": None, "last": None, "rows": [], "reason": None, "comment": None} | params
    made = context({"triggering_user_name": "bob"}, params=parameters)
    return operator, made, lambda: operator.execute(made)


def events(database):
    with database.connect() as connection:
        return [(row["actor"], row["reason"]) for row in connection.execute(select(ledger)).mappings()]


def test_list_shows_the_number_of_pending_rows_and_reasons(refused, context, capsys):
    _, _, execute = run(ShowQuarantineOperator, context, action="list")
    assert execute() == 2
    log = capsys.readouterr().out
    assert "flights: 2 rejected rows are pending" in log
    assert "distance is not between 10 and 6000" in log


def test_inspect_shows_each_row_in_the_log_and_on_the_page(refused, context, lake, capsys):
    operator, _, execute = run(ShowQuarantineOperator, context, action="inspect", first="2013-07-01")
    execute()
    name = pending(refused)["_row_id"][0]
    assert name in capsys.readouterr().out
    link = RejectedRowsLink().get_link(operator, ti_key=None)
    page = reports.read_report(lake.uri, {}, link.partition("/airworthy/reports/")[2])
    assert name in page
    assert "9999.0" in page


def test_values_of_a_rejected_row_are_escaped_on_the_page(refused, context, lake, database):
    frame = generate(FLIGHTS.columns, 400, DAY).assign(_airworthy_day=f"{DAY}")
    frame["origin"] = ["<script>alert(1)</script>", *frame["origin"][1:]]
    run_quality_gate(FLIGHTS, frame, [DAY], lake=lake, engine=database, run="flights_ingestion/y/1")
    operator, _, execute = run(ShowQuarantineOperator, context, action="inspect")
    execute()
    page = reports.read_report(lake.uri, {}, operator.evidence_url.partition("/airworthy/reports/")[2])
    assert "&lt;script&gt;" in page
    assert "<script" not in page


def test_released_rows_are_published_recorded_and_announced(refused, context, lake, database, allowed):
    _, made, execute = run(ReleaseQuarantineOperator, context, action="release", comment="new routes")
    assert execute() == 2
    assert len(lake.read("flights", [DAY])) == 400
    assert len(pending(refused)) == 0
    assert events(database) == [("bob", "2 rows of 2013-07-01 released into the partition: new routes")]
    assert made["outlet_events"][assets.dataset("flights")].partition_keys == {"2013-07-01"}
    assert made["outlet_events"][assets.inputs_asset("flight_features")].partition_keys == {"2013-07-01"}


def test_release_run_again_announces_its_partitions_again(refused, context, allowed):
    for _ in (1, 2):
        _, made, execute = run(ReleaseQuarantineOperator, context, action="release")
        assert execute() == 2
    assert made["outlet_events"][assets.dataset("flights")].partition_keys == {"2013-07-01"}


def test_release_without_a_passing_row_fails_with_a_remedy(refused, context, database):
    _, made, execute = run(ReleaseQuarantineOperator, context, action="release")
    with pytest.raises(QualityFailed, match=r"none of 2 rows may be released: distance is not.*discard them"):
        execute()
    assert set(made["ti"].pushed["figures"]["kept"].values()) == {"distance is not between 10 and 6000"}
    assert events(database) == []
    assert len(pending(refused)) == 2


def test_discard_removes_the_named_rows(refused, context, database):
    name = pending(refused)["_row_id"][0]
    _, _, execute = run(DiscardQuarantineOperator, context, action="discard", rows=[name], comment="a test")
    assert execute() == 1
    assert name not in set(pending(refused)["_row_id"])
    assert events(database) == [("bob", "1 rows of 2013-07-01 discarded: a test")]


def test_discard_without_a_comment_is_refused(refused, context):
    _, _, execute = run(DiscardQuarantineOperator, context, action="discard")
    with pytest.raises(DataError, match="say in `comment` why"):
        execute()
    assert len(pending(refused)) == 2


@pytest.mark.parametrize("kind", [ReleaseQuarantineOperator, DiscardQuarantineOperator])
def test_operator_of_another_action_is_skipped(refused, context, kind):
    _, _, execute = run(kind, context, action="list", comment="just looking")
    with pytest.raises(AirflowSkipException, match="The run is to list"):
        execute()
    assert len(pending(refused)) == 2


def test_release_that_selects_no_row_is_skipped(refused, context):
    _, _, execute = run(ReleaseQuarantineOperator, context, action="release", first="2014-01-01")
    with pytest.raises(AirflowSkipException, match="The parameters select no pending row"):
        execute()


def test_last_day_without_a_first_is_refused(refused, context):
    _, _, execute = run(ShowQuarantineOperator, context, action="list", last="2013-07-01")
    with pytest.raises(DataError, match="give `first`, too"):
        execute()
