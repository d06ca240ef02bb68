from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest

from include.data.lake.delta_tables import Lake
from include.database.tables import inference_log
from include.declarations import DriftPolicy
from include.errors import PartitionMissing
from include.features.flight_features import FEATURE_VIEW as VIEW
from include.monitoring import windows
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.delay_band import USE_CASE as DELAY_BAND

USE_CASE = AIR_TIME.model_copy(
    update={"features": ("carrier", "distance"), "drift": DriftPolicy(window_days=2)}
)
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


def read(database, lake, **knobs):
    with database.connect() as connection:
        return windows.read_requests(connection, lake, USE_CASE, VIEW, **knobs)


def publish(lake, days):
    rows = [{"flight_id": f"{day}-1", "carrier": "B6", "distance": 7.0, "day": f"{day}"} for day in days]
    lake.publish("flight_features", pd.DataFrame(rows), days, metadata={})


def test_reads_what_was_asked_and_answered_row_beside_row(database, lake):
    log(database, row(1), row(2, version=2, role="challenger"))
    found = read(database, lake)
    assert (found.source, found.requests) == ("requests", 2)
    assert sorted(found.inputs["distance"]) == [101, 102]
    together = pd.concat([found.inputs, found.predictions], axis=1).sort_values("distance")
    assert together["flight_id"].tolist() == ["f1", "f2"]
    assert together["prediction"].tolist() == [11, 12]
    assert together["version"].tolist() == [1, 2]


def test_leaves_out_shadows_failures_other_models_and_other_times(database, lake):
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


def test_what_may_still_be_on_its_way_is_left_to_the_next_run(database, lake):
    with database.connect() as connection:
        edge = windows.watermark(connection)
    log(
        database,
        row(1, received_at=edge - timedelta(seconds=1)),
        row(2, received_at=edge + timedelta(seconds=4)),
    )
    found = read(database, lake, end=edge + timedelta(days=1))
    assert found.requests == 1
    assert found.end < edge + timedelta(seconds=4)


def test_a_request_of_many_rows_gives_all_of_them_without_an_entity(database, lake):
    many = [{"carrier": "UA", "distance": float(n)} for n in range(3)]
    log(database, row(1, inputs=many, predictions=[1, 2, 3]))
    found = read(database, lake)
    assert (len(found.inputs), found.requests) == (3, 1)
    assert found.predictions["flight_id"].isna().all()


def test_rows_that_carry_their_own_key_are_known_in_a_request_of_many_too(database, lake):
    many = [{"flight_id": f"key{n}", "carrier": "UA", "distance": float(n)} for n in range(3)]
    log(database, row(1, inputs=many, predictions=[1, 2, 3]))
    found = read(database, lake)
    assert found.predictions["flight_id"].tolist() == ["key0", "key1", "key2"]
    assert list(found.inputs.columns) == ["carrier", "distance"]


def test_the_windows_before_are_as_long_and_end_where_the_next_begins(database, lake):
    log(database, row(1), row(2, received_at=NOW - timedelta(days=3)))
    with database.connect() as connection:
        seen = windows.read_requests(connection, lake, USE_CASE, VIEW)
        earlier = list(windows.before(connection, lake, USE_CASE, VIEW, seen, most=2))
    assert [each.predictions["flight_id"].tolist() for each in (seen, *earlier)] == [["f1"], ["f2"], []]
    assert (earlier[0].end, earlier[0].end - earlier[0].start) == (seen.start, timedelta(days=2))


def test_the_partitions_before_are_those_of_as_many_days(database, lake):
    days = [date(2013, 7, day) for day in (1, 2, 3, 4, 5)]
    publish(lake, days)
    with database.connect() as connection:
        seen = windows.read_requests(connection, lake, USE_CASE, VIEW)
        earlier = list(windows.before(connection, lake, USE_CASE, VIEW, seen, most=4))
    assert [each.start.day for each in (seen, *earlier)] == [4, 2, 1]


def test_requests_of_earlier_are_looked_at_though_nobody_asked_lately(database, lake):
    publish(lake, [date(2013, 7, 1)])
    log(database, row(1, received_at=NOW - timedelta(days=3)))
    with database.connect() as connection:
        seen = windows.read_requests(connection, lake, USE_CASE, VIEW)
        (earlier,) = windows.before(connection, lake, USE_CASE, VIEW, seen, most=1)
    assert (seen.source, earlier.source, earlier.requests) == ("partitions", "requests", 1)


def test_of_too_many_requests_it_reads_the_same_ones_each_time(database):
    log(database, *(row(n, received_at=NOW - timedelta(seconds=100 + n)) for n in range(50)))
    span = {"start": NOW - timedelta(days=1), "end": NOW, "most": 10}
    with database.connect() as connection:
        first = windows.requests(connection, USE_CASE, VIEW, **span)
        second = windows.requests(connection, USE_CASE, VIEW, **span)
    assert (len(first.inputs), first.requests) == (10, 50)
    pd.testing.assert_frame_equal(first.inputs, second.inputs)


def test_a_feature_that_nobody_sent_stays_away_so_that_drift_sees_it(database, lake):
    log(database, row(1, inputs=[{"carrier": "UA", "unknown": 1}]))
    assert list(read(database, lake).inputs) == ["carrier"]


def test_where_nobody_asks_the_newest_partitions_are_read(database, lake):
    days = [date(2013, 7, n) for n in (1, 2, 4)]
    publish(lake, days)
    found = read(database, lake)
    assert (found.source, len(found.inputs), list(found.inputs)) == ("partitions", 2, ["carrier", "distance"])
    assert (found.start, found.end) == (datetime(2013, 7, 2, tzinfo=UTC), datetime(2013, 7, 5, tzinfo=UTC))
    assert found.predictions.empty


def test_the_batch_predictions_of_these_days_are_the_answers(database, lake):
    publish(lake, [date(2013, 7, 1), date(2013, 7, 2)])
    scored = pd.DataFrame(
        {"flight_id": ["2013-07-02-1"], "prediction": [5.0], "version": [3], "day": "2013-07-02"}
    )
    lake.publish("air_time_predictions", scored, [date(2013, 7, 2)], metadata={})
    answers = read(database, lake).predictions
    scored = {"flight_id": "2013-07-02-1", "prediction": 5.0, "version": 3, "day": "2013-07-02"}
    assert answers.to_dict("records") == [scored | {"at": pd.Timestamp("2013-07-02", tz="UTC")}]


def test_without_requests_and_partitions_it_says_what_to_run(database, lake):
    with pytest.raises(PartitionMissing, match="flight_features"):
        read(database, lake)


def test_batch_predictions_of_several_classes_are_as_a_request_is_answered(lake):
    day = date(2013, 1, 2)
    publish(lake, [day])
    shares = dict(zip(("on_time", "late", "very_late"), (0.7, 0.2, 0.1), strict=True))
    columns = {f"probability_{name}": share for name, share in shares.items()}
    scored = {"flight_id": f"{day}-1", "prediction": "on_time", **columns, "version": 3, "day": f"{day}"}
    lake.publish("delay_band_predictions", pd.DataFrame([scored]), [day], metadata={})
    found = windows.window_partitions(lake, DELAY_BAND, VIEW, [day])
    assert found.predictions["prediction"].tolist() == [[0.7, 0.2, 0.1]]
