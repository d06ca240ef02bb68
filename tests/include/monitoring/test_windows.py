from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest

from include.catalog import catalog
from include.data.lake.delta_tables import Lake
from include.database.tables import inference_log
from include.declarations import DriftPolicy
from include.errors import PartitionMissing
from include.monitoring import windows
from include.monitoring.label_quality import join_labels
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.delay_band import USE_CASE as DELAY_BAND

USE_CASE = AIR_TIME.model_copy(
    update={"features": ("carrier", "distance"), "drift": DriftPolicy(window_days=2)}
)
SELECTION = catalog().features_of(USE_CASE)
NOW = datetime.now(UTC)


def row(number, **changes):
    values = {
        "use_case": "air_time", "request_id": f"r{number}", "version": 1, "role": "champion",
        "entity_id": f"f{number}", "received_at": NOW - timedelta(hours=1), "latency_ms": 5.0, "status": 200,
        "inputs": [{"carrier": "UA", "distance": 100.0 + number}], "predictions": [10.0 + number],
    }  # fmt: skip
    return values | changes


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path))


def log(database, *rows):
    with database.begin() as connection:
        connection.execute(inference_log.insert(), rows)


def read(database, lake, **options):
    with database.connect() as connection:
        return windows.read_newest_window(connection, lake, USE_CASE, SELECTION, **options)


def publish(lake, days):
    rows = [
        {"flight_id": f"{day}-1", "carrier": "B6", "distance": 7.0, "_airworthy_day": f"{day}"}
        for day in days
    ]
    moment = pd.Timestamp("2013-07-01T12:00Z").as_unit("us")
    frame = pd.DataFrame(rows).assign(scheduled_departure=moment)
    lake.publish("flight_features", frame, days, metadata={})


def test_rows_of_a_version_with_other_features_are_left_out(database, lake):
    former = {"inputs": [{"carrier": "UA"}]}
    log(database, row(1, **former), row(2, version=2), row(3, version=2, **former))
    window = read(database, lake, version=2)
    assert sorted(window.predictions["_airworthy_prediction"]) == [12.0, 13.0]
    assert window.inputs["distance"].isna().sum() == 1
    assert len(read(database, lake).inputs) == 3


def test_rows_of_inputs_and_predictions_match(database, lake):
    log(database, row(1), row(2, version=2, role="challenger"))
    window = read(database, lake)
    assert (window.source, window.requests) == ("requests", 2)
    assert sorted(window.inputs["distance"]) == [101, 102]
    together = pd.concat([window.inputs, window.predictions], axis=1).sort_values("distance")
    assert together["flight_id"].tolist() == ["f1", "f2"]
    assert together["_airworthy_prediction"].tolist() == [11, 12]
    assert together["_airworthy_version"].tolist() == [1, 2]


def test_shadows_failures_and_other_times_are_left_out(database, lake):
    log(
        database,
        row(1),
        row(1, version=2, role="shadow"),
        row(2, status=500, predictions=None),
        row(3, use_case="flight_delay"),
        row(4, received_at=NOW - timedelta(days=3)),
        row(5, received_at=NOW + timedelta(days=1)),
    )
    assert read(database, lake).inputs["distance"].tolist() == [101]


def test_requests_after_the_watermark_are_left_out(database, lake, monkeypatch):
    monkeypatch.setattr(windows, "LOG_LAG", timedelta(hours=1))
    with database.connect() as connection:
        edge = windows.watermark(connection)
    log(
        database,
        row(1, received_at=edge - timedelta(seconds=1)),
        row(2, received_at=edge + timedelta(minutes=30)),
    )
    window = read(database, lake, end=edge + timedelta(days=1))
    assert window.requests == 1
    assert window.end < edge + timedelta(minutes=30)


def test_request_of_many_rows_has_no_entity(database, lake):
    many = [{"carrier": "UA", "distance": float(n)} for n in range(3)]
    log(database, row(1, inputs=many, predictions=[1, 2, 3]))
    window = read(database, lake)
    assert (len(window.inputs), window.requests) == (3, 1)
    assert window.predictions["flight_id"].isna().all()


def test_rows_with_a_key_have_an_entity(database, lake):
    many = [{"flight_id": f"key{n}", "carrier": "UA", "distance": float(n)} for n in range(3)]
    log(database, row(1, inputs=many, predictions=[1, 2, 3]))
    window = read(database, lake)
    assert window.predictions["flight_id"].tolist() == ["key0", "key1", "key2"]
    assert list(window.inputs.columns) == ["carrier", "distance"]


def test_earlier_windows_have_the_same_length(database, lake):
    log(database, row(1), row(2, received_at=NOW - timedelta(days=3)))
    with database.connect() as connection:
        newest = windows.read_newest_window(connection, lake, USE_CASE, SELECTION)
        earlier = list(windows.read_earlier_windows(connection, lake, USE_CASE, SELECTION, newest, limit=2))
    assert [past.predictions["flight_id"].tolist() for past in (newest, *earlier)] == [["f1"], ["f2"], []]
    assert (earlier[0].end, earlier[0].end - earlier[0].start) == (newest.start, timedelta(days=2))


def test_earlier_partitions_have_as_many_days(database, lake):
    days = [date(2013, 7, day) for day in (1, 2, 3, 4, 5)]
    publish(lake, days)
    with database.connect() as connection:
        newest = windows.read_newest_window(connection, lake, USE_CASE, SELECTION)
        earlier = list(windows.read_earlier_windows(connection, lake, USE_CASE, SELECTION, newest, limit=4))
    assert [past.start.day for past in (newest, *earlier)] == [4, 2, 1]


def test_earlier_requests_are_read_before_partitions(database, lake):
    publish(lake, [date(2013, 7, 1)])
    log(database, row(1, received_at=NOW - timedelta(days=3)))
    with database.connect() as connection:
        newest = windows.read_newest_window(connection, lake, USE_CASE, SELECTION)
        (earlier,) = windows.read_earlier_windows(connection, lake, USE_CASE, SELECTION, newest, limit=1)
    assert (newest.source, earlier.source, earlier.requests) == ("partitions", "requests", 1)


def test_too_many_requests_are_sampled_reproducibly(database):
    log(database, *(row(n, received_at=NOW - timedelta(seconds=100 + n)) for n in range(50)))
    span = {"start": NOW - timedelta(days=1), "end": NOW, "limit": 10}
    with database.connect() as connection:
        first = windows.read_requests(connection, USE_CASE, SELECTION.spine, **span)
        second = windows.read_requests(connection, USE_CASE, SELECTION.spine, **span)
    assert (len(first.inputs), first.requests) == (10, 50)
    pd.testing.assert_frame_equal(first.inputs, second.inputs)


def test_feature_that_was_not_sent_stays_missing(database, lake):
    log(database, row(1, inputs=[{"carrier": "UA", "unknown": 1}]))
    assert list(read(database, lake).inputs) == ["carrier"]


def test_newest_partitions_are_read_without_requests(database, lake):
    days = [date(2013, 7, n) for n in (1, 2, 4)]
    publish(lake, days)
    window = read(database, lake)
    assert (window.source, len(window.inputs), list(window.inputs)) == (
        "partitions",
        2,
        ["carrier", "distance"],
    )
    assert (window.start, window.end) == (datetime(2013, 7, 2, tzinfo=UTC), datetime(2013, 7, 5, tzinfo=UTC))
    assert window.predictions.empty


def test_batch_predictions_of_the_days_are_read(database, lake):
    publish(lake, [date(2013, 7, 1), date(2013, 7, 2)])
    scored = pd.DataFrame(
        {
            "flight_id": ["2013-07-02-1"],
            "_airworthy_prediction": [5.0],
            "_airworthy_version": [3],
            "_airworthy_day": "2013-07-02",
        }
    )
    lake.publish("air_time_predictions", scored, [date(2013, 7, 2)], metadata={})
    predictions = read(database, lake).predictions
    scored = {
        "flight_id": "2013-07-02-1",
        "_airworthy_prediction": 5.0,
        "_airworthy_version": 3,
        "_airworthy_day": "2013-07-02",
    }
    assert predictions.to_dict("records") == [
        scored | {"_airworthy_at": pd.Timestamp("2013-07-02", tz="UTC")}
    ]


@pytest.mark.parametrize(
    ("minimum_rows", "is_scored", "source"),
    [(2, True, "partitions"), (1, True, "requests"), (2, False, "requests")],
    ids=["stray request", "enough requests", "not scored"],
)
def test_stray_request_does_not_hide_batch_predictions(database, lake, minimum_rows, is_scored, source):
    days = [date(2013, 7, day) for day in (1, 2, 3)]
    publish(lake, days)
    keys = [f"{day}-1" for day in days]
    scored = pd.DataFrame({"flight_id": keys, windows.PREDICTION: 42.0, windows.VERSION: 1})
    if is_scored:
        scored["_airworthy_day"] = [f"{day}" for day in days]
        lake.publish("air_time_predictions", scored, days, metadata={})
    log(database, row(1), row(2, received_at=NOW - timedelta(days=3)))
    policy = DriftPolicy(window_days=2, minimum_rows=minimum_rows)
    use_case = USE_CASE.model_copy(update={"drift": policy})
    with database.connect() as connection:
        newest = windows.read_newest_window(connection, lake, use_case, SELECTION)
        (earlier,) = windows.read_earlier_windows(connection, lake, use_case, SELECTION, newest, limit=1)
    assert (newest.source, newest.requests, earlier.source) == (source, 1, source)


def test_partitions_after_the_window_are_not_read(database, lake):
    publish(lake, [date(2013, 7, day) for day in (1, 2, 3)])
    window = read(database, lake, end=datetime(2013, 7, 2, 6, tzinfo=UTC))
    assert (window.start.day, window.end.day) == (1, 3)


def test_missing_partitions_name_the_dag_to_run(database, lake):
    with pytest.raises(PartitionMissing, match="flight_features"):
        read(database, lake)


def test_multiclass_batch_predictions_are_lists(lake):
    day = date(2013, 1, 2)
    publish(lake, [day])
    shares = dict(zip(("on_time", "late", "very_late"), (0.7, 0.2, 0.1), strict=True))
    columns = {f"_airworthy_probability_{name}": share for name, share in shares.items()}
    scored = {
        "flight_id": f"{day}-1",
        "_airworthy_prediction": "on_time",
        **columns,
        "_airworthy_version": 3,
        "_airworthy_day": f"{day}",
    }
    lake.publish("delay_band_predictions", pd.DataFrame([scored]), [day], metadata={})
    bands = DELAY_BAND.model_copy(update={"features": ("carrier", "distance")})
    window = windows.read_partitions(lake, bands, catalog().features_of(bands), [day])
    assert window.predictions["_airworthy_prediction"].tolist() == [[0.7, 0.2, 0.1]]


def test_integer_keys_of_rows_and_headers_are_integers(database, lake):
    spine = replace(SELECTION.spine, types=SELECTION.spine.types | {"flight_id": "integer"})
    big = 2**53 + 1
    rows = [{"flight_id": key, "carrier": "UA", "distance": 1.0} for key in (0, big)]
    log(
        database,
        row(1, inputs=rows, predictions=[1, 2]),
        row(2, entity_id="17", received_at=NOW - timedelta(hours=2)),
        row(3, entity_id="no number", received_at=NOW - timedelta(hours=2)),
    )
    with database.connect() as connection:
        window = windows.read_requests(connection, USE_CASE, spine, start=NOW - timedelta(days=1), end=NOW)
    keys = window.predictions["flight_id"]
    assert str(keys.dtype) == "Int64"
    assert set(keys.dropna()) == {0, 17, big}
    labels = pd.DataFrame({"flight_id": [0, 17, big], "air_time": [1.0, 2.0, 3.0]})
    assert join_labels(window.predictions, labels, USE_CASE, keys=["flight_id"])["_airworthy_landed"].all()
