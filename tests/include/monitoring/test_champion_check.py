"""Measurements of a champion, with a Delta lake and PostgreSQL."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest

from include.catalog import catalog
from include.certificates.certificate import Certificate
from include.data.lake.delta_tables import Lake
from include.data.snapshots import snapshot as snapshots
from include.database.tables import access_log, gate_result, inference_log
from include.errors import DataError
from include.monitoring import champion_check
from include.monitoring.windows import Window
from include.pseudonyms import pseudonym
from include.release import rollout, rollout_status
from include.settings import settings
from include.use_cases.air_time import USE_CASE
from tests.access_rows import access_row
from tests.made_flights import make_flights
from tests.personal_columns import declare_personal

DAYS = [date(2013, 1, 1) + timedelta(days=number) for number in range(5)]
ROWS_PER_DAY = 100
PERSONAL = ("flight_id", "carrier")


def arrivals(rows):
    return rows[["flight_id", "_airworthy_day"]].assign(air_time=rows["distance"] / 8)


@pytest.fixture
def lake(tmp_path):
    lake = Lake(str(tmp_path))
    rows = make_flights(DAYS)
    lake.publish("flight_features", rows, DAYS, metadata={})
    lake.publish("arrivals", arrivals(rows), DAYS, metadata={})
    return lake


@pytest.fixture
def state(database):
    lease = rollout.begin(database, USE_CASE.name, 1, owner="earlier", actor="ann")
    return rollout.promote(database, lease, reason="the first", evidence={})


def certified(snapshot):
    """Return the certificate of a model that was trained on `snapshot`."""
    return Certificate.model_construct(snapshot=json.loads(snapshot.to_json()))


@pytest.fixture
def champion(lake, state):
    certificate = certified(snapshots.create(USE_CASE, lake, None))
    return champion_check.champion_context(USE_CASE, state, certificate, lake)


def serve(database, rows, **changes):
    """Log requests of an hour ago with correct predictions."""
    moment = rollout_status.database_time(database) - timedelta(hours=1)
    records = json.loads(rows[list(USE_CASE.features)].to_json(orient="records"))
    logged = [
        {
            "use_case": USE_CASE.name, "request_id": flight, "entity_id": flight, "version": 1,
            "role": "champion", "received_at": moment, "latency_ms": 4.0, "status": 200, "inputs": [record],
            "predictions": [record["distance"] / 8],
        } | changes
        for flight, record in zip(rows["flight_id"], records, strict=True)
    ]  # fmt: skip
    calls = [access_row(use_case=USE_CASE.name, received_at=moment, status=row["status"]) for row in logged]
    with database.begin() as connection:
        connection.execute(inference_log.insert(), logged)
        connection.execute(access_log.insert(), calls)


def publish_later(lake, days):
    lake.publish("arrivals", arrivals(make_flights(days)), days, metadata={})


def test_reference_is_the_snapshot_of_the_certificate(champion):
    assert len(champion.reference) == ROWS_PER_DAY * len(DAYS)
    assert champion.snapshot.days == ("2013-01-01", "2013-01-05")


def test_changed_training_rows_are_no_reference(lake, state):
    snapshot = snapshots.create(USE_CASE, lake, None)
    forged = type(snapshot).from_json(snapshot.to_json().replace(snapshot.digest, "0" * 64))
    with pytest.raises(DataError, match="have changed"):
        champion_check.champion_context(USE_CASE, state, certified(forged), lake)


def test_window_has_partitions_only_without_requests(champion, lake, database):
    with database.connect() as connection:
        assert champion_check.read_window(champion, connection, lake).source == "partitions"
    serve(database, champion.reference)
    with database.connect() as connection:
        window = champion_check.read_window(champion, connection, lake)
    assert (window.source, window.requests) == ("requests", ROWS_PER_DAY * len(DAYS))


@pytest.mark.parametrize(
    ("factor", "weight", "outcome"), [(1, 1.0, "no_drift"), (10, 1.0, "drift"), (10, 0.01, "no_drift")]
)
def test_drift_of_one_column_counts_by_its_importance(champion, lake, database, factor, weight, outcome):
    serve(database, champion.reference.assign(distance=lambda rows: rows["distance"] * factor))
    importance = {"distance": weight, "hour": 1.0}
    with database.connect() as connection:
        window = champion_check.read_window(champion, connection, lake)
    drift = champion_check.check_drift(champion, window, importance)
    assert drift.outcome == outcome
    assert drift.per_column["distance"]["drifted"] is (factor != 1)
    assert set(drift.per_column) == set(USE_CASE.features)


def test_half_of_the_columns_drifted_is_drift(champion, lake, database):
    other = {"distance": 9_999.0, "hour": 3, "wind_speed": 99.0, "carrier": "ZZ"}
    serve(database, champion.reference.assign(**other))
    with database.connect() as connection:
        drift = champion_check.check_drift(champion, champion_check.read_window(champion, connection, lake))
    assert drift.outcome == "drift"


def measured(champion, lake, database):
    with database.connect() as connection:
        window = champion_check.read_window(champion, connection, lake)
        quality = champion_check.check_quality(champion, window, connection, lake)
        service = champion_check.check_service(
            champion, connection, end=rollout_status.database_time(database)
        )
        signals = champion_check.collect_signals(
            champion, "no_drift", quality, window, connection=connection, lake=lake
        )
    return quality, service, signals


def test_right_predictions_are_good_quality(champion, lake, database):
    serve(database, champion.reference)
    assert measured(champion, lake, database)[0].outcome == "good"


def test_quality_has_value_and_worst_slices(champion, lake, database):
    rows = champion.reference
    is_jfk = (rows["origin"] == "JFK").to_numpy()
    serve(database, rows[~is_jfk])
    serve(database, rows[is_jfk], predictions=[900.0])
    quality = measured(champion, lake, database)[0]
    (figures,) = quality.worst_slices
    assert (figures["by"], figures["slice"], figures["rows"]) == ("origin", "JFK", is_jfk.sum())
    assert figures["value"] > 100
    assert (quality.value["currency"], quality.value["saved"] < 0) == ("USD", True)
    assert quality.change_points == []


def test_batch_predictions_are_sliced_by_their_features(champion, lake, database):
    scored = champion.reference[["flight_id", "_airworthy_day"]].assign(
        _airworthy_prediction=champion.reference["distance"] / 8, _airworthy_version=1
    )
    lake.publish("air_time_predictions", scored, DAYS, metadata={})
    quality = measured(champion, lake, database)[0]
    assert [figures["by"] for figures in quality.worst_slices] == ["origin"]


def test_wrong_predictions_are_lost_quality(champion, lake, database):
    serve(database, champion.reference, predictions=[900.0])
    quality, _, signals = measured(champion, lake, database)
    assert quality.outcome == signals.quality == "lost"


def test_predictions_of_another_version_do_not_count(champion, lake, database):
    serve(database, champion.reference, predictions=[900.0], version=2, role="challenger")
    assert measured(champion, lake, database)[0].outcome == "inconclusive"


def late(champion, database, lake, days_ago):
    """Log requests for the flights of 6 January, whose labels have not landed."""
    rows = make_flights([date(2013, 1, 6)])
    serve(database, rows, received_at=rollout_status.database_time(database) - timedelta(days=days_ago))
    return rows


def test_quality_waits_for_labels_that_are_due(champion, lake, database):
    late(champion, database, lake, 3)
    quality = measured(champion, lake, database)[0]
    assert (quality.outcome, quality.completeness) == ("inconclusive", 0)
    assert quality.reason.startswith("waiting: 0.0% of the labels of 100 predictions have landed")


def test_predictions_without_due_labels_do_not_count(champion, lake, database):
    moment = rollout_status.database_time(database)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    # An hour ago may be another day, whose labels are due.
    late(champion, database, lake, min(0.04, (moment - midnight) / timedelta(days=2)))
    assert measured(champion, lake, database)[0].predictions == 0


@pytest.mark.parametrize("published_on", [date(2013, 1, 6), date(2013, 1, 13)])
def test_late_labels_find_their_predictions(champion, lake, database, published_on):
    rows = late(champion, database, lake, 10)  # three days before the window that drift looks at
    before = measured(champion, lake, database)[0]
    lake.publish(
        "arrivals", arrivals(rows).assign(_airworthy_day=f"{published_on}"), [published_on], metadata={}
    )
    after = measured(champion, lake, database)[0]
    assert (before.outcome, after.outcome, after.labelled) == ("inconclusive", "good", ROWS_PER_DAY)
    assert [result.predictions for result in after.windows] == [0, ROWS_PER_DAY]
    assert after.window == after.windows[1].window


def test_failed_requests_break_the_service_level(champion, lake, database):
    serve(database, champion.reference, status=500, predictions=None)
    assert measured(champion, lake, database)[1].outcome == "broken"


def test_signals_have_the_champion_and_its_drift(champion, lake, database):
    serve(database, champion.reference)
    _, _, signals = measured(champion, lake, database)
    assert (signals.version, signals.drift, signals.upstream_fault) == (1, "no_drift", "")


def test_newest_partition_that_failed_is_an_upstream_fault(champion, lake, database):
    serve(database, champion.reference)
    values = {"subject": "arrivals", "run": "run", "rows": 0, "quarantined": 0, "results": []}
    faults = []
    for day, passed in (("2013-01-05", False), ("2013-01-06", True)):
        at = rollout_status.database_time(database) - timedelta(minutes=1)
        with database.begin() as connection:
            row = values | {"partition": day, "passed": passed, "at": at}
            connection.execute(gate_result.insert(), row)
        faults.append(measured(champion, lake, database)[2].upstream_fault)
    assert faults == ["arrivals 2013-01-05 failed its checks", ""]


@pytest.mark.parametrize(("days", "rows"), [([], 0), ([date(2013, 1, 6)], ROWS_PER_DAY)])
def test_only_labels_after_the_snapshot_are_new(champion, lake, database, days, rows):
    serve(database, champion.reference)
    if days:
        publish_later(lake, days)
    assert measured(champion, lake, database)[2].new_labelled_rows == rows


def test_personal_values_are_compared_as_pseudonyms(champion, state, lake, database, monkeypatch):
    declared = declare_personal("flight_id", "carrier", "distance")
    monkeypatch.setattr("include.specifications.catalog", lambda: declared)
    champion = champion_check.champion_context(USE_CASE, state, certified(champion.snapshot), lake)
    rows = make_flights(DAYS)
    for name in PERSONAL:
        rows[name] = [pseudonym(value, settings().pseudonym_key) for value in rows[name]]
    serve(database, rows)
    with database.connect() as connection:
        window = champion_check.read_window(champion, connection, lake)
        quality = champion_check.check_quality(champion, window, connection, lake)
    drift = champion_check.check_drift(champion, window)
    assert quality.labelled == len(rows)
    assert drift.outcome == "no_drift"
    assert "carrier" in drift.per_column
    assert "distance" not in drift.per_column
    assert '"UA"' not in drift.html


def window_of(start, **predictions):
    end = start + timedelta(days=1)
    return Window("requests", start, end, pd.DataFrame(), pd.DataFrame(predictions), requests=1)


@pytest.mark.parametrize(
    ("start", "predictions", "first"),
    [
        (datetime(2013, 1, 5, tzinfo=UTC), {}, DAYS[3]),
        (datetime(2013, 1, 5, tzinfo=UTC), {"_airworthy_day": ["2013-01-04", "2013-01-03"]}, DAYS[1]),
        (
            datetime(2013, 1, 5, tzinfo=UTC),
            {"scheduled_departure": pd.to_datetime(["2013-01-04T01:00Z", None])},
            DAYS[2],
        ),
        (datetime(2026, 1, 1, tzinfo=UTC), {}, DAYS[0]),
    ],
    ids=["request", "day", "event", "replay"],
)
def test_labels_of_older_days_are_not_read(lake, start, predictions, first):
    case = USE_CASE.model_copy(update={"drift": USE_CASE.drift.model_copy(update={"window_days": 1})})
    windows = [window_of(start, **predictions), window_of(start)]
    labels = champion_check.read_labels(lake, case, catalog().spine_of(case), windows)
    assert set(labels["_airworthy_day"]) == {str(day) for day in DAYS if day >= first}
    assert set(labels) == {"flight_id", "_airworthy_day", "air_time"}
