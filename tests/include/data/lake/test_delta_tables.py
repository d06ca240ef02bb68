from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from threading import Barrier

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from include.data.lake.delta_tables import Lake
from include.data.lake.dtypes import TIMESTAMP, to_frame
from include.data.lake.partition_columns import with_partition_columns
from include.errors import DataError, PartitionMissing, ServiceUnavailable
from include.partitions import hours_of

ON_BOTH_STORES = True

ONE, TWO, THREE = (date(2013, 1, day) for day in (1, 2, 3))


def table_of(days, value=1.0, count=2):
    return pd.concat([rows_of_day(day, value, count) for day in days], ignore_index=True)


def rows_of_day(day, value, count):
    names = [f"{day}/{number}" for number in range(count)]
    return pd.DataFrame({"id": names, "value": value, "_airworthy_day": day.isoformat()}).astype(
        {"_airworthy_day": object}
    )


def test_frame_is_read_as_it_was_published(lake):
    frame = table_of([ONE, TWO]).assign(
        at=pd.Timestamp("2013-01-01", tz="UTC").as_unit("us"),
        whole=pd.array([1, None, 3, 4], dtype="Int64"),
        yes=[True, False, True, True],
        nothing=None,
    )
    lake.publish("things", frame, [ONE, TWO], metadata={})
    read = lake.read("things").sort_values("id", ignore_index=True)[list(frame.columns)]
    pd.testing.assert_frame_equal(read, frame)


def test_extreme_values_are_read_to_the_bit(lake):
    moments = [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC), None]
    frame = to_frame(
        pa.table(
            {
                "text": ["ä€😀", " ", None],
                "whole": [-(2**63), 2**63 - 1, None],
                "number": [5e-324, -0.0, 0.1],
                "yes": [True, None, False],
                "at": pa.array(moments, TIMESTAMP),
                "_airworthy_day": [str(ONE)] * 3,
            }
        )
    )
    lake.publish("things", frame, [ONE], metadata={})
    read = lake.read("things")[list(frame.columns)]
    pd.testing.assert_frame_equal(read, frame, check_exact=True)
    assert read["number"].to_numpy().tobytes() == frame["number"].to_numpy().tobytes()


def test_second_publication_replaces_its_days_only(lake):
    lake.publish("things", table_of([ONE, TWO, THREE], 1.0), [ONE, TWO, THREE], metadata={})
    lake.publish("things", table_of([TWO], 2.0, count=5), [TWO], metadata={})
    read = lake.read("things")
    assert read.groupby("_airworthy_day")["value"].agg(["min", "max", "size"]).to_numpy().tolist() == [
        [1.0, 1.0, 2], [2.0, 2.0, 5], [1.0, 1.0, 2]
    ]  # fmt: skip


day_sets = st.sets(st.integers(0, 3), min_size=1)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(day_sets, st.integers(0, 3)), min_size=1, max_size=5))
def test_any_publications_leave_one_copy_of_each_day(tmp_path_factory, publishes):
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    expected = {}
    for turn, (numbers, count) in enumerate(publishes):
        days = [ONE + timedelta(days=number) for number in sorted(numbers)]
        lake.publish("things", table_of(days, float(turn), count), days, metadata={})
        expected |= {day.isoformat(): [float(turn)] * count for day in days}
    published = sorted(expected)
    expected = {day: values for day, values in expected.items() if values}
    actual: dict[str, list[float]] = {}
    for _, row in lake.read("things").iterrows():
        actual.setdefault(row["_airworthy_day"], []).append(row["value"])
    assert actual == expected
    assert [day.isoformat() for day in lake.days("things")] == published


def test_concurrent_writers_of_a_day_leave_one_copy(lake):
    start = Barrier(4)
    days = [ONE, TWO]

    def publish(value):
        start.wait()
        return lake.publish("things", table_of(days, value), days, metadata={})

    with ThreadPoolExecutor(4) as pool:
        versions = list(pool.map(publish, [0.0, 1.0, 2.0, 3.0]))
    assert len(set(versions)) == 4
    assert (lake.version("things"), len(lake.read("things"))) == (max(versions), 4)
    assert lake.read("things")["value"].nunique() == 1


def test_writer_that_always_loses_can_be_retried(lake, monkeypatch):
    from deltalake.exceptions import CommitFailedError

    def lose(*_, **__):
        raise CommitFailedError("another writer was faster")

    monkeypatch.setattr("include.data.lake.delta_tables.write_deltalake", lose)
    impatient = replace(lake, commit_timeout=timedelta(seconds=0.2))
    with pytest.raises(ServiceUnavailable, match=r"things: 2013-01-01 could not be published.*Try again"):
        impatient.publish("things", table_of([ONE]), [ONE], metadata={})


def test_old_versions_can_be_read(lake):
    first = lake.publish("things", table_of([ONE], 1.0), [ONE], metadata={})
    second = lake.publish("things", table_of([ONE, TWO], 2.0), [ONE, TWO], metadata={})
    assert lake.version("things") == second
    assert set(lake.read("things", version=first)["value"]) == {1.0}
    assert lake.days("things", version=first) == [ONE]
    assert lake.days("things") == [ONE, TWO]
    with pytest.raises(DataError, match="Version 99 of things cannot be read"):
        lake.read("things", version=99)


def test_commit_names_run_and_try(lake):
    lake.publish("things", table_of([ONE]), [ONE], metadata={"run": "nightly", "try": "2"})
    latest = DeltaTable(f"{lake.uri}/things", storage_options=lake.storage_options).history(1)[0]
    assert (latest["run"], latest["try"]) == ("nightly", "2")


def test_days_and_columns_are_selected(lake):
    lake.publish("things", table_of([ONE, TWO]), [ONE, TWO], metadata={})
    read = lake.read("things", [TWO], columns=["id", "_airworthy_day"])
    assert (list(read.columns), set(read["_airworthy_day"])) == (["id", "_airworthy_day"], {"2013-01-02"})
    assert lake.read("things", []).empty
    with pytest.raises(DataError, match="things has no column speed; it has"):
        lake.read("things", columns=["speed"])


def test_day_that_was_not_published_is_named(lake):
    with pytest.raises(PartitionMissing, match="There is no table things"):
        lake.read("things")
    assert (lake.version("things"), lake.days("things")) == (None, [])
    lake.publish("things", table_of([ONE]), [ONE], metadata={})
    with pytest.raises(PartitionMissing, match=r"1 of 2 days are not in the lake .* the first is 2013-01-03"):
        lake.read("things", [ONE, THREE])


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (table_of([ONE, TWO]), "rows of 2013-01-02 among those of 2013-01-01"),
        (table_of([ONE]).assign(_airworthy_day=None), "rows of None among"),
        (table_of([ONE]).assign(value=["a", 1.0]), "Column value cannot be stored"),
        (table_of([ONE]).assign(value="a"), "Column value has type string, but the table has double"),
        (table_of([ONE]).assign(id=1), "Column id has type int64, but the table has string"),
        (
            table_of([ONE]).assign(at=pd.Timestamp("2013-01-01")),
            "Column at holds moments without a time zone",
        ),
    ],
    ids=["another day", "no day", "two types", "text for a number", "number for text", "no zone"],
)
def test_rows_that_do_not_fit_the_table_are_refused(lake, frame, message):
    lake.publish("things", table_of([ONE], 7.0), [ONE], metadata={})
    with pytest.raises(DataError, match=message):
        lake.publish("things", frame, [ONE], metadata={})
    assert set(lake.read("things")["value"]) == {7.0}


@pytest.mark.parametrize("name", ["", "../other", "a/b", "Things", "_reports"])
def test_invalid_table_name_is_refused(lake, name):
    with pytest.raises(DataError, match="is no table's name"):
        lake.publish(name, table_of([ONE]), [ONE], metadata={})


@pytest.mark.parametrize(
    "values",
    [[1, 2], np.array([1, 2], "int32"), np.array([1, 2], "float32"), [np.nan, np.nan], [None, None]],
    ids=["whole", "int32", "float32", "all NaN", "all None"],
)
def test_other_types_of_numbers_keep_the_column_type(lake, values):
    lake.publish("things", table_of([ONE], 0.5), [ONE], metadata={})
    lake.publish("things", table_of([TWO]).assign(value=values), [TWO], metadata={})
    assert lake.read("things")["value"].dtype == np.float64


def test_column_of_nulls_has_a_type_and_new_one_is_added(lake):
    lake.publish("things", table_of([ONE]).assign(note=None), [ONE], metadata={})
    lake.publish("things", table_of([TWO]).assign(note="wet", extra=1), [TWO], metadata={})
    read = lake.read("things")
    assert read.loc[read["_airworthy_day"] == "2013-01-01", ["note", "extra"]].isna().all(axis=None)
    assert set(read.loc[read["_airworthy_day"] == "2013-01-02", "note"]) == {"wet"}


def test_vacuum_deletes_what_no_retained_version_needs(lake):
    retained = lake.publish("things", table_of([ONE], 1.0), [ONE], metadata={})
    deleted = lake.publish("things", table_of([ONE], 2.0), [ONE], metadata={})
    lake.publish("things", table_of([ONE], 3.0), [ONE], metadata={})
    assert lake.optimize_and_vacuum("things", timedelta(days=7)) == 0
    assert lake.optimize_and_vacuum("things", timedelta(0), keep_versions=[retained]) == 1
    assert set(lake.read("things")["value"]) == {3.0}
    assert set(lake.read("things", version=retained)["value"]) == {1.0}
    with pytest.raises(DataError, match=f"Version {deleted} of things cannot be read"):
        lake.read("things", version=deleted)


def test_repr_contains_no_secret():
    assert "hush" not in repr(Lake("s3://lake", {"AWS_SECRET_ACCESS_KEY": "hush"}))


def test_update_changes_the_rows_of_a_faster_writer(lake):
    lake.publish("things", table_of([ONE]), [ONE], metadata={})
    row_counts = []

    def change(rows):
        if not row_counts:
            lake.publish("things", table_of([ONE], count=7), [ONE], metadata={})
        row_counts.append(len(rows))
        return rows.iloc[1:]

    lake.update("things", [ONE], change, metadata={})
    assert row_counts[-1] == 7
    assert len(row_counts) > 1
    assert len(lake.read("things", [ONE])) == 6


def test_counts_are_rows_of_each_day(lake):
    assert lake.counts("things") == {}
    lake.publish("things", table_of([ONE, TWO]), [ONE, TWO], metadata={})
    assert lake.counts("things") == {
        ONE: len(lake.read("things", [ONE])),
        TWO: len(lake.read("things", [TWO])),
    }


HOURS = hours_of(ONE)


def hourly(hours, value=1.0, count=2):
    return pd.concat([rows_of_hour(hour, value, count) for hour in hours])


def rows_of_hour(hour, value, count):
    frame = pd.DataFrame({"id": [f"{hour}/{number}" for number in range(count)], "value": value})
    return with_partition_columns(frame, hour)


def test_commit_replaces_one_hour(lake):
    version = lake.publish("things", hourly(HOURS), HOURS, metadata={})
    assert lake.publish("things", hourly(HOURS[5:6], 2.0, count=3), HOURS[5:6], metadata={}) == version + 1
    values = lake.read("things").groupby("_airworthy_hour")["value"].agg(["min", "max", "size"])
    assert values.loc["05"].tolist() == [2.0, 2.0, 3]
    assert set(values.drop(index="05").itertuples(index=False, name=None)) == {(1.0, 1.0, 2)}
    assert lake.counts("things") == dict.fromkeys(HOURS, 2) | {HOURS[5]: 3}


def test_day_of_hours_is_read_only_when_complete(lake):
    lake.publish("things", hourly(HOURS[:23]), HOURS[:23], metadata={})
    assert (lake.days("things"), lake.partitions("things")) == ([], HOURS[:23])
    with pytest.raises(
        PartitionMissing, match=r"1 of 24 hours are not in the lake .* first is 2013-01-01T23"
    ):
        lake.read("things", [ONE])
    lake.publish("things", hourly(HOURS[23:]), HOURS[23:], metadata={})
    assert lake.days("things") == [ONE]
    assert set(lake.read("things", [ONE], columns=["_airworthy_hour"])["_airworthy_hour"]) == {
        f"{hour:02}" for hour in range(24)
    }


def test_hours_are_selected(lake):
    lake.publish("things", hourly(HOURS), HOURS, metadata={})
    assert set(lake.read("things", HOURS[3:5], columns=["id"])["id"].str[11:13]) == {"03", "04"}


def test_hour_published_without_rows_stays_published(lake):
    lake.publish("things", hourly(HOURS[:2]), HOURS[:2], metadata={})
    lake.publish("things", hourly(HOURS[:1], count=0), HOURS[:1], metadata={})
    assert lake.partitions("things") == HOURS[:2]
    assert lake.counts("things") == {HOURS[0]: 0, HOURS[1]: 2}
    assert lake.read("things", HOURS[:1]).empty


def test_day_of_hours_is_complete_with_an_empty_hour(lake):
    lake.publish("things", hourly(HOURS[1:]), HOURS, metadata={})
    assert lake.days("things") == [ONE]
    assert len(lake.read("things", [ONE])) == 46


def test_first_day_without_rows_counts(lake):
    lake.publish("things", table_of([ONE], count=0), [ONE], metadata={})
    assert lake.days("things") == [ONE]
    lake.publish("things", table_of([TWO]), [TWO], metadata={})
    assert (lake.days("things"), len(lake.read("things", [ONE, TWO]))) == ([ONE, TWO], 2)


def test_table_of_another_program_has_days_with_rows(lake):
    write_deltalake(
        f"{lake.uri}/things",
        table_of([ONE]),
        partition_by=["_airworthy_day"],
        storage_options=lake.storage_options,
    )
    assert (lake.days("things"), lake.publications("things")) == ([ONE], {})


def test_row_of_another_hour_is_refused(lake):
    with pytest.raises(DataError, match=r"rows of 2013-01-01T02 among those of 2013-01-01T01\. .*own hour"):
        lake.publish("things", hourly(HOURS[2:3]), HOURS[1:2], metadata={})


@pytest.mark.parametrize(("first", "then"), [("day", "hour"), ("hour", "day")])
def test_days_and_hours_do_not_share_a_table(lake, first, then):
    publications = {"day": (table_of([ONE]), [ONE]), "hour": (hourly(HOURS[:1]), HOURS[:1])}
    lake.publish("things", *publications[first], metadata={})
    with pytest.raises(DataError, match=f"things is a table of {first}s"):
        lake.publish("things", *publications[then], metadata={})


def test_concurrent_writers_of_different_hours_succeed(lake):
    lake.publish("things", hourly(HOURS[:1]), HOURS[:1], metadata={})
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda hour: lake.publish("things", hourly([hour]), [hour], metadata={}), HOURS[1:5]))
    assert lake.counts("things") == dict.fromkeys(HOURS[:5], 2)
