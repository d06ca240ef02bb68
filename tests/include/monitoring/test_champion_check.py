"""What one monitoring run measures of a champion, on a real lake and database."""

from __future__ import annotations

import json
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from include.certificates.certificate import Certificate
from include.data.lake.delta_tables import Lake
from include.data.snapshots import snapshot as snapshots
from include.database.tables import inference_log
from include.errors import DataError
from include.monitoring import champion_check
from include.release import rollout, rollout_status
from include.use_cases.air_time import USE_CASE

DAYS = [date(2013, 1, 1) + timedelta(days=number) for number in range(5)]
A_DAY = 100


def flights(days):
    rng = np.random.default_rng(0)
    count = A_DAY * len(days)
    return pd.DataFrame(
        {
            "flight_id": [f"{day}-{number}" for day in days for number in range(A_DAY)],
            "scheduled_departure": pd.to_datetime([f"{day}T12:00Z" for day in days for _ in range(A_DAY)]),
            "carrier": rng.choice(["AA", "UA"], count),
            "origin": rng.choice(["EWR", "JFK"], count),
            "dest": rng.choice(["BOS", "LAX"], count),
            "distance": rng.uniform(100, 2_500, count),
            "hour": rng.integers(5, 23, count),
            "wind_speed": rng.normal(10, 3, count),
            "pressure": rng.normal(1_015, 5, count),
            "day": [f"{day}" for day in days for _ in range(A_DAY)],
        }
    )


def arrivals(rows):
    return rows[["flight_id", "day"]].assign(air_time=rows["distance"] / 8)


@pytest.fixture
def lake(tmp_path):
    lake, rows = Lake(str(tmp_path)), flights(DAYS)
    lake.publish("flight_features", rows, DAYS, metadata={})
    lake.publish("arrivals", arrivals(rows), DAYS, metadata={})
    return lake


@pytest.fixture
def champion(database):
    hold = rollout.begin(database, USE_CASE.name, 1, owner="earlier", actor="ann")
    return rollout.promote(database, hold, reason="the first", evidence={})


def certified(snapshot):
    """Return a certificate of a model that learned from this snapshot."""
    return Certificate.model_construct(snapshot=json.loads(snapshot.to_json()))


@pytest.fixture
def about(lake, champion):
    return champion_check.champion_context(
        USE_CASE, champion, certified(snapshots.create(USE_CASE, lake, None)), lake
    )


def serve(database, rows, **changes):
    """Log requests of an hour ago with the right answers."""
    moment = rollout_status.now(database) - timedelta(hours=1)
    records = json.loads(rows[list(USE_CASE.features)].to_json(orient="records"))
    logged = [
        {
            "use_case": USE_CASE.name, "request_id": flight, "entity_id": flight, "version": 1,
            "role": "champion", "received_at": moment, "latency_ms": 4.0, "status": 200, "inputs": [record],
            "predictions": [record["distance"] / 8],
        } | changes
        for flight, record in zip(rows["flight_id"], records, strict=True)
    ]  # fmt: skip
    with database.begin() as connection:
        connection.execute(inference_log.insert(), logged)


def publish_later(lake, days):
    lake.publish("arrivals", arrivals(flights(days)), days, metadata={})


def test_the_reference_is_what_the_certificate_names(about):
    assert len(about.reference) == A_DAY * len(DAYS)
    assert about.snapshot.days == ("2013-01-01", "2013-01-05")


def test_training_rows_that_are_others_now_are_no_reference(lake, champion):
    snapshot = snapshots.create(USE_CASE, lake, None)
    forged = type(snapshot).from_json(snapshot.to_json().replace(snapshot.digest, "0" * 64))
    with pytest.raises(DataError, match="not those that were taken"):
        champion_check.champion_context(USE_CASE, champion, certified(forged), lake)


def test_requests_are_looked_at_first_and_partitions_where_nobody_asks(about, lake, database):
    with database.connect() as connection:
        assert champion_check.read_window(about, connection, lake).source == "partitions"
    serve(database, about.reference)
    with database.connect() as connection:
        seen = champion_check.read_window(about, connection, lake)
    assert (seen.source, seen.requests) == ("requests", A_DAY * len(DAYS))


@pytest.mark.parametrize(("factor", "outcome"), [(1, "no_drift"), (10, "no_drift")])
def test_one_drifted_column_is_not_yet_drift(about, lake, database, factor, outcome):
    serve(database, about.reference.assign(distance=lambda rows: rows["distance"] * factor))
    with database.connect() as connection:
        found = champion_check.check_drift(about, champion_check.read_window(about, connection, lake))
    assert found.outcome == outcome
    assert found.per_column["distance"]["drifted"] is (factor != 1)
    assert set(found.per_column) == set(USE_CASE.features)


def test_half_of_the_columns_are(about, lake, database):
    other = {"distance": 9_999.0, "hour": 3, "wind_speed": 99.0, "carrier": "ZZ"}
    serve(database, about.reference.assign(**other))
    with database.connect() as connection:
        found = champion_check.check_drift(about, champion_check.read_window(about, connection, lake))
    assert found.outcome == "drift"


def measured(about, lake, database):
    with database.connect() as connection:
        seen = champion_check.read_window(about, connection, lake)
        quality = champion_check.check_quality(about, seen, connection, lake)
        service = champion_check.check_service(about, connection, end=rollout_status.now(database))
        signals = champion_check.collect_signals(
            about, "no_drift", quality, service, connection=connection, lake=lake
        )
    return quality, service, signals


def test_right_answers_are_good_and_wrong_ones_are_lost_quality(about, lake, database):
    serve(database, about.reference)
    assert measured(about, lake, database)[0].outcome == "good"


def test_wrong_answers_are_lost_quality(about, lake, database):
    serve(database, about.reference, predictions=[900.0])
    quality, _, signals = measured(about, lake, database)
    assert quality.outcome == signals.quality == "lost"


def test_another_versions_answers_say_nothing_of_the_champion(about, lake, database):
    serve(database, about.reference, predictions=[900.0], version=2, role="challenger")
    assert measured(about, lake, database)[0].outcome == "inconclusive"


def late(about, database, lake, days_ago):
    """Serve the flights of the sixth as long ago, of which no label has landed."""
    rows = flights([date(2013, 1, 6)])
    serve(database, rows, received_at=rollout_status.now(database) - timedelta(days=days_ago))
    return rows


def test_quality_waits_for_labels_that_are_due(about, lake, database):
    late(about, database, lake, 3)
    found = measured(about, lake, database)[0]
    assert (found.outcome, found.completeness) == ("inconclusive", 0)
    assert found.reason.startswith("waiting: 0.0% of the labels of 100 predictions have landed")


def test_predictions_of_an_hour_ago_are_not_waited_for(about, lake, database):
    late(about, database, lake, 0.04)
    assert measured(about, lake, database)[0].predictions == 0


@pytest.mark.parametrize("published_on", [date(2013, 1, 6), date(2013, 1, 13)])
def test_labels_that_come_a_week_late_find_their_predictions(about, lake, database, published_on):
    rows = late(about, database, lake, 10)  # three days before the window that drift looks at
    before = measured(about, lake, database)[0]
    lake.publish("arrivals", arrivals(rows).assign(day=f"{published_on}"), [published_on], metadata={})
    after = measured(about, lake, database)[0]
    assert (before.outcome, after.outcome, after.labelled) == ("inconclusive", "good", A_DAY)
    assert [one.predictions for one in after.windows] == [0, A_DAY]
    assert after.window == after.windows[1].window


def test_failed_requests_break_the_promise_to_callers(about, lake, database):
    serve(database, about.reference, status=500, predictions=None)
    _, service, signals = measured(about, lake, database)
    assert service.outcome == signals.service == "broken"


def test_the_governor_is_told_the_champion_and_when_it_came(about, lake, database):
    serve(database, about.reference)
    _, _, signals = measured(about, lake, database)
    assert (signals.version, signals.previous, signals.drift) == (1, None, "no_drift")
    assert signals.promoted_at <= rollout_status.now(database)


@pytest.mark.parametrize(("days", "rows"), [([], 0), ([date(2013, 1, 6)], A_DAY)])
def test_only_labels_since_the_snapshot_are_new(about, lake, database, days, rows):
    serve(database, about.reference)
    if days:
        publish_later(lake, days)
    assert measured(about, lake, database)[2].new_labelled_rows == rows
