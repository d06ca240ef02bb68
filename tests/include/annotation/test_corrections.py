from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from include.annotation import corrections
from include.annotation.corrections import correct_answer, import_labels
from include.annotation.queue import select_queue
from include.annotation.sheet import write_sheet
from include.data.quality_gate import run_quality_gate
from include.data.snapshots import snapshot as snapshots
from include.data.snapshots.target_encoding import TARGET
from include.data.sources.files import Landing
from include.database.ledger import ledger_entries
from include.database.tables import inference_log
from include.datasets.arrivals import DATASET as ARRIVALS
from include.errors import DataError
from include.inference.predictions import PREDICTION
from include.monitoring import champion_check
from include.pseudonyms import pseudonym
from include.use_cases.air_time import USE_CASE
from tests.include.annotation.conftest import NEXT

HEADER = "flight_id,dep_delay,arr_delay,air_time\n"
FLIGHT = "2013-01-06-03"


@pytest.fixture
def arrivals(landing, unlabelled):
    """Return the landed file of `NEXT`, which has the flights of that day and no air time."""
    file = Path(landing.uri, f"arrivals/{NEXT}.csv")
    file.parent.mkdir(parents=True)
    flights = [*unlabelled["flight_id"], *(f"other-{number}" for number in range(300))]
    file.write_text(HEADER + "".join(f"{flight},1.0,2.0,\n" for flight in flights))
    return file


def correct(stores, request=f"request-{FLIGHT}", label="123.5", **options):
    return correct_answer(stores, request, label, actor="ann", reason="the tower's log", **options)


def fill_in(content, labels):
    """Return an exported file with the labels of some flights."""
    rows = list(csv.DictReader(io.StringIO(content)))
    for row in rows:
        row["_label"] = labels.get(row["flight_id"], "")
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def export(champion, lake, database, limit=None):
    with database.connect() as connection:
        rows = select_queue(champion, connection, lake, importance={}, limit=limit)
    return write_sheet(USE_CASE, ("flight_id",), rows, "key")


def ingest(lake, landing, database):
    """Read, check and publish the landed file of `NEXT`, as the ingestion does."""
    table = Landing(landing.uri).read(ARRIVALS, [NEXT]).table
    report = run_quality_gate(ARRIVALS, table.to_pandas(), [NEXT], lake=lake, engine=database, run="r")
    assert report.passed, report
    labels = report.accepted.to_pandas() if hasattr(report.accepted, "to_pandas") else report.accepted
    lake.publish("arrivals", labels[["flight_id", "air_time", "_airworthy_day"]], [NEXT], metadata={})


def test_labels_pass_the_gates_and_reach_their_predictions(
    champion, serve, unlabelled, stores, landing, arrivals
):
    lake = stores.lake
    database = stores.engine
    serve(unlabelled)
    content = export(champion, lake, database)
    labels = {flight: str(minutes) for flight, minutes in zip(
        unlabelled["flight_id"], unlabelled["distance"] / 8, strict=True
    )}  # fmt: skip
    written = import_labels(
        stores, USE_CASE, fill_in(content, labels), actor="ann", reason="checked by the desk"
    )
    assert written.partitions == ("2013-01-06",)
    assert written.changed == written.labels > 50
    ingest(lake, landing, database)
    with database.connect() as connection:
        window = champion_check.read_window(champion, connection, lake)
        landed = champion_check.read_labels(lake, USE_CASE, champion.specification.selection.spine, [window])
    [joined] = champion_check.join_windows(champion, [window], landed, now=window.end)
    labelled = joined[joined[TARGET].notna()]
    assert len(labelled) == written.changed
    assert labelled[TARGET].tolist() == pytest.approx(labelled[PREDICTION].tolist())
    trained = snapshots.read_snapshot(USE_CASE, snapshots.create(USE_CASE, lake, None), lake)
    assert set(labels) & set(trained["flight_id"])
    assert export(champion, lake, database).count("\n") == 1


def test_the_same_file_again_changes_nothing(champion, lake, database, serve, unlabelled, stores, arrivals):
    serve(unlabelled.iloc[:10])
    content = fill_in(export(champion, lake, database), {FLIGHT: "99"})
    first = import_labels(stores, USE_CASE, content, actor="ann", reason="checked")
    state = arrivals.stat().st_mtime_ns
    second = import_labels(stores, USE_CASE, content, actor="ann", reason="checked")
    assert [(first.changed, first.labels), (second.changed, second.labels)] == [(1, 1), (0, 1)]
    assert (second.partitions, second.all_partitions) == ((), ("2013-01-06",))
    assert arrivals.stat().st_mtime_ns == state
    with database.connect() as connection:
        entries = ledger_entries(connection, "air_time")
    assert [entry["event"] for entry in entries].count("annotated") == 1


def test_one_wrong_label_writes_nothing(champion, lake, database, serve, unlabelled, stores, arrivals):
    serve(unlabelled.iloc[:10])
    before = arrivals.read_bytes()
    content = fill_in(export(champion, lake, database), {FLIGHT: "99", "2013-01-06-04": "long"})
    with pytest.raises(DataError, match=r"line \d+: 'long' is no label: arrivals.air_time is a number"):
        import_labels(stores, USE_CASE, content, actor="ann", reason="checked")
    with pytest.raises(DataError, match="no label: fill in"):
        import_labels(stores, USE_CASE, export(champion, lake, database), actor="ann", reason="checked")
    assert arrivals.read_bytes() == before


@pytest.mark.parametrize("attempts", [1, 2])
def test_a_correction_finds_its_prediction(serve, unlabelled, stores, arrivals, database, attempts):
    serve(unlabelled.iloc[:10])
    for _ in range(attempts):
        written = correct(stores)
    assert (written.dataset, written.changed) == ("arrivals", 2 - attempts)
    assert f"{FLIGHT},1.0,2.0,123.5\n" in arrivals.read_text()
    with database.connect() as connection:
        [entry] = ledger_entries(connection, "air_time")
    assert (entry["event"], entry["actor"], entry["reason"]) == ("corrected", "ann", "the tower's log")
    assert entry["evidence"]["changes"] == [{"flight_id": FLIGHT, "before": None, "after": "123.5"}]
    assert (entry["evidence"]["request"], entry["evidence"]["row"]) == (f"request-{FLIGHT}", 1)


def test_a_second_opinion_replaces_the_first(serve, unlabelled, stores, arrivals, database):
    serve(unlabelled.iloc[:10])
    for label in ("123.5", "80", "123.5"):
        assert correct(stores, label=label).changed == 1
    assert f"{FLIGHT},1.0,2.0,123.5\n" in arrivals.read_text()
    with database.connect() as connection:
        assert len(ledger_entries(connection, "air_time")) == 3


def test_a_label_may_come_before_its_file(serve, unlabelled, stores, landing):
    serve(unlabelled.iloc[:10])
    assert correct(stores).partitions == ("2013-01-06",)
    assert Path(landing.uri, f"arrivals/{NEXT}.csv").read_text() == f"{HEADER}{FLIGHT},,,123.5\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"request": "nothing"}, "No request nothing"),
        ({"label": "long"}, "'long' is no label: arrivals.air_time is a number"),
        ({"label": ""}, "is no label"),
        ({"label": "5000"}, "at least 10, at most 1000"),
        ({"row": 2}, "has no row 2: it has 1"),
    ],
)
def test_bad_corrections_are_refused(serve, unlabelled, stores, arrivals, options, message):
    serve(unlabelled.iloc[:10])
    before = arrivals.read_bytes()
    with pytest.raises(DataError, match=message):
        correct(stores, **options)
    assert arrivals.read_bytes() == before


def test_a_row_of_several_is_named_by_its_number(serve, unlabelled, stores, arrivals):
    rows = [{"flight_id": flight} for flight in ("2013-01-06-00", FLIGHT)]
    serve(unlabelled.iloc[:1], request_id="many", entity_id=None, inputs=rows, predictions=[1.0, 2.0])
    with pytest.raises(DataError, match="has 2 rows: say which one"):
        correct(stores, "many")
    correct(stores, "many", row=2)
    assert f"{FLIGHT},1.0,2.0,123.5\n" in arrivals.read_text()


def test_a_row_without_its_entity_is_refused(serve, unlabelled, stores):
    serve(unlabelled.iloc[:1], request_id="r", entity_id=None)
    with pytest.raises(DataError, match="does not name its flight_id"):
        correct(stores, "r")


def test_an_unanswered_request_and_a_repeated_id_are_refused(serve, unlabelled, stores):
    serve(unlabelled.iloc[:1], request_id="failed", status=500, predictions=None)
    with pytest.raises(DataError, match="No version answered"):
        correct(stores, "failed")
    serve(unlabelled.iloc[:2], request_id="twice")
    with pytest.raises(DataError, match="2 requests have the id twice"):
        correct(stores, "twice")


def test_a_request_of_another_model_is_refused(serve, unlabelled, stores, arrivals):
    serve(unlabelled.iloc[:1], request_id="r", entity_id=FLIGHT)
    with pytest.raises(DataError, match="answered by air_time, not by flight_delay"):
        correct(stores, "r", model="flight_delay")
    assert correct(stores, "r", model="air_time").changed == 1


def test_a_request_of_an_undeclared_model_is_refused(serve, unlabelled, stores):
    serve(unlabelled.iloc[:1], request_id="r", use_case="former")
    with pytest.raises(DataError, match="is not declared any more"):
        correct(stores, "r")


def test_a_personal_entity_is_found_by_its_pseudonym(serve, unlabelled, stores, arrivals):
    hidden = pseudonym(FLIGHT, "key")
    serve(unlabelled.iloc[:1], request_id="r", entity_id=hidden)
    correct(stores, "r")
    assert f"{FLIGHT},1.0,2.0,123.5\n" in arrivals.read_text()
    assert hidden not in arrivals.read_text()
    serve(unlabelled.iloc[:1], request_id="erased", entity_id=pseudonym("erased", "key"))
    with pytest.raises(DataError, match="has its pseudonym: it was erased"):
        correct(stores, "erased")


def test_an_unknown_entity_has_the_day_of_its_request(serve, unlabelled, stores):
    serve(unlabelled.iloc[:1], request_id="r", entity_id="new")
    with pytest.raises(DataError, match="arrivals has partitions from 2013-01-01 to 2013-12-31"):
        correct(stores, "r")


def test_personal_values_are_not_in_the_ledger(serve, unlabelled, stores, arrivals, database, monkeypatch):
    columns = tuple(column.model_copy(update={"personal": True}) for column in ARRIVALS.columns)
    declared = ARRIVALS.model_copy(update={"columns": columns})
    datasets = {**corrections.catalog().datasets, "arrivals": declared}
    changed = type(corrections.catalog())(
        datasets, corrections.catalog().feature_views, corrections.catalog().use_cases
    )
    monkeypatch.setattr(corrections, "catalog", lambda: changed)
    serve(unlabelled.iloc[:10])
    correct(stores)
    with database.connect() as connection:
        [entry] = ledger_entries(connection, "air_time")
    assert entry["evidence"]["changes"] == [{"flight_id": "***", "before": None, "after": "***"}]


def test_requests_are_not_changed(serve, unlabelled, stores, arrivals, database):
    serve(unlabelled.iloc[:10])
    correct(stores)
    with database.connect() as connection:
        assert connection.execute(inference_log.select()).rowcount == 10
