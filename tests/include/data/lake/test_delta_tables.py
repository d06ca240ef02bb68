from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from threading import Barrier

import numpy as np
import pandas as pd
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from include import partitions
from include.data.lake.delta_tables import Lake
from include.data.lake.partition_columns import with_partition_columns
from include.errors import DataError, PartitionMissing, ServiceUnavailable

ONE, TWO, THREE = (date(2013, 1, day) for day in (1, 2, 3))


def table_of(days, value=1.0, count=2):
    names = [f"{day}/{number}" for day in days for number in range(count)]
    keys = [day.isoformat() for day in days for _ in range(count)]
    return pd.DataFrame({"id": names, "value": value, "day": keys})


def test_a_published_frame_is_read_again_as_it_was(lake):
    frame = table_of([ONE, TWO]).assign(
        at=pd.Timestamp("2013-01-01", tz="UTC").as_unit("us"),
        whole=pd.array([1, None, 3, 4], dtype="Int64"),
        yes=[True, False, True, True],
        nothing=None,
    )
    lake.publish("things", frame, [ONE, TWO], metadata={})
    read = lake.read("things").sort_values("id", ignore_index=True)[list(frame.columns)]
    pd.testing.assert_frame_equal(read, frame)


def test_publishing_again_replaces_those_days_and_no_others(lake):
    lake.publish("things", table_of([ONE, TWO, THREE], 1.0), [ONE, TWO, THREE], metadata={})
    lake.publish("things", table_of([TWO], 2.0, count=5), [TWO], metadata={})
    read = lake.read("things")
    assert read.groupby("day")["value"].agg(["min", "max", "size"]).to_numpy().tolist() == [
        [1.0, 1.0, 2], [2.0, 2.0, 5], [1.0, 1.0, 2]
    ]  # fmt: skip


day_sets = st.sets(st.integers(0, 3), min_size=1)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(day_sets, st.integers(0, 3)), min_size=1, max_size=5))
def test_any_sequence_of_publishes_leaves_exactly_one_copy_of_each_day(tmp_path_factory, publishes):
    lake, expected = Lake(str(tmp_path_factory.mktemp("lake"))), {}
    for turn, (numbers, count) in enumerate(publishes):
        days = [ONE + timedelta(days=number) for number in sorted(numbers)]
        lake.publish("things", table_of(days, float(turn), count), days, metadata={})
        expected |= {day.isoformat(): [float(turn)] * count for day in days}
    expected = {day: values for day, values in expected.items() if values}
    found: dict[str, list[float]] = {}
    for _, row in lake.read("things").iterrows():
        found.setdefault(row["day"], []).append(row["value"])
    assert found == expected
    assert [day.isoformat() for day in lake.days("things")] == sorted(expected)


def test_writers_of_the_same_days_at_the_same_time_leave_one_copy(lake):
    start, days = Barrier(4), [ONE, TWO]

    def publish(value):
        start.wait()
        return lake.publish("things", table_of(days, value), days, metadata={})

    with ThreadPoolExecutor(4) as pool:
        versions = list(pool.map(publish, [0.0, 1.0, 2.0, 3.0]))
    assert len(set(versions)) == 4
    assert (lake.version("things"), len(lake.read("things"))) == (max(versions), 4)
    assert lake.read("things")["value"].nunique() == 1


def test_a_writer_that_is_never_first_says_that_it_may_try_again(lake, monkeypatch):
    from deltalake.exceptions import CommitFailedError

    def lose(*_, **__):
        raise CommitFailedError("somebody was quicker")

    monkeypatch.setattr("include.data.lake.delta_tables.write_deltalake", lose)
    impatient = replace(lake, patience=timedelta(seconds=0.2))
    with pytest.raises(ServiceUnavailable, match=r"things: 2013-01-01 could not be published.*Try again"):
        impatient.publish("things", table_of([ONE]), [ONE], metadata={})


def test_every_version_can_be_read_again(lake):
    first = lake.publish("things", table_of([ONE], 1.0), [ONE], metadata={})
    second = lake.publish("things", table_of([ONE, TWO], 2.0), [ONE, TWO], metadata={})
    assert lake.version("things") == second
    assert set(lake.read("things", version=first)["value"]) == {1.0}
    assert lake.days("things", version=first) == [ONE]
    assert lake.days("things") == [ONE, TWO]
    with pytest.raises(DataError, match="Version 99 of things cannot be read"):
        lake.read("things", version=99)


def test_the_commit_names_who_made_it(lake):
    lake.publish("things", table_of([ONE]), [ONE], metadata={"run": "nightly", "try": "2"})
    latest = DeltaTable(f"{lake.uri}/things", storage_options=lake.storage_options).history(1)[0]
    assert (latest["run"], latest["try"]) == ("nightly", "2")


def test_reads_days_and_columns(lake):
    lake.publish("things", table_of([ONE, TWO]), [ONE, TWO], metadata={})
    read = lake.read("things", [TWO], columns=["id", "day"])
    assert (list(read.columns), set(read["day"])) == (["id", "day"], {"2013-01-02"})
    assert lake.read("things", []).empty
    with pytest.raises(DataError, match="things has no column speed; it has"):
        lake.read("things", columns=["speed"])


def test_a_day_that_was_never_published_is_an_error_with_its_name(lake):
    with pytest.raises(PartitionMissing, match="There is no table things"):
        lake.read("things")
    assert (lake.version("things"), lake.days("things")) == (None, [])
    lake.publish("things", table_of([ONE]), [ONE], metadata={})
    with pytest.raises(PartitionMissing, match=r"1 of 2 days are not in the lake .* the first is 2013-01-03"):
        lake.read("things", [ONE, THREE])


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        (table_of([ONE, TWO]), "rows of 2013-01-02 among those of 2013-01-01"),
        (table_of([ONE]).assign(day=None), "rows of None among"),
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
def test_refuses_what_does_not_belong_into_the_table(lake, frame, complaint):
    lake.publish("things", table_of([ONE], 7.0), [ONE], metadata={})
    with pytest.raises(DataError, match=complaint):
        lake.publish("things", frame, [ONE], metadata={})
    assert set(lake.read("things")["value"]) == {7.0}


@pytest.mark.parametrize("name", ["", "../other", "a/b", "Things", "_reports"])
def test_refuses_a_name_that_is_no_table(lake, name):
    with pytest.raises(DataError, match="is no table's name"):
        lake.publish(name, table_of([ONE]), [ONE], metadata={})


@pytest.mark.parametrize(
    "values",
    [[1, 2], np.array([1, 2], "int32"), np.array([1, 2], "float32"), [np.nan, np.nan], [None, None]],
    ids=["whole", "int32", "float32", "all NaN", "all None"],
)
def test_a_day_of_other_but_equal_numbers_keeps_the_column_a_number(lake, values):
    lake.publish("things", table_of([ONE], 0.5), [ONE], metadata={})
    lake.publish("things", table_of([TWO]).assign(value=values), [TWO], metadata={})
    assert lake.read("things")["value"].dtype == np.float64


def test_a_column_without_any_value_gets_a_type_and_a_new_column_is_added(lake):
    lake.publish("things", table_of([ONE]).assign(note=None), [ONE], metadata={})
    lake.publish("things", table_of([TWO]).assign(note="wet", extra=1), [TWO], metadata={})
    read = lake.read("things")
    assert read.loc[read["day"] == "2013-01-01", ["note", "extra"]].isna().all(axis=None)
    assert set(read.loc[read["day"] == "2013-01-02", "note"]) == {"wet"}


def test_maintenance_deletes_what_no_kept_version_needs(lake):
    kept = lake.publish("things", table_of([ONE], 1.0), [ONE], metadata={})
    lost = lake.publish("things", table_of([ONE], 2.0), [ONE], metadata={})
    lake.publish("things", table_of([ONE], 3.0), [ONE], metadata={})
    assert lake.optimize_and_vacuum("things", timedelta(days=7)) == 0
    assert lake.optimize_and_vacuum("things", timedelta(0), keep_versions=[kept]) == 1
    assert set(lake.read("things")["value"]) == {3.0}
    assert set(lake.read("things", version=kept)["value"]) == {1.0}
    with pytest.raises(DataError, match=f"Version {lost} of things cannot be read"):
        lake.read("things", version=lost)


def test_secrets_are_not_shown():
    assert "hush" not in repr(Lake("s3://lake", {"AWS_SECRET_ACCESS_KEY": "hush"}))


def test_an_amendment_changes_the_rows_that_another_writer_has_just_written(lake):
    lake.publish("things", table_of([ONE]), [ONE], metadata={})
    seen = []

    def change(rows):
        if not seen:
            lake.publish("things", table_of([ONE], count=7), [ONE], metadata={})
        seen.append(len(rows))
        return rows.iloc[1:]

    lake.update("things", [ONE], change, metadata={})
    assert seen[-1] == 7
    assert len(seen) > 1
    assert len(lake.read("things", [ONE])) == 6


def test_the_rows_of_each_day_are_counted(lake):
    assert lake.counts("things") == {}
    lake.publish("things", table_of([ONE, TWO]), [ONE, TWO], metadata={})
    assert lake.counts("things") == {
        ONE: len(lake.read("things", [ONE])),
        TWO: len(lake.read("things", [TWO])),
    }


HOURS = partitions.hours_of(ONE)


def hourly(hours, value=1.0, count=2):
    rows = [pd.DataFrame({"id": [f"{hour}/{n}" for n in range(count)], "value": value}) for hour in hours]
    return pd.concat([with_partition_columns(part, hour) for part, hour in zip(rows, hours, strict=True)])


def test_one_commit_replaces_exactly_that_hour(lake):
    version = lake.publish("things", hourly(HOURS), HOURS, metadata={})
    assert lake.publish("things", hourly(HOURS[5:6], 2.0, count=3), HOURS[5:6], metadata={}) == version + 1
    values = lake.read("things").groupby("hour")["value"].agg(["min", "max", "size"])
    assert values.loc["05"].tolist() == [2.0, 2.0, 3]
    assert set(values.drop(index="05").itertuples(index=False, name=None)) == {(1.0, 1.0, 2)}
    assert lake.counts("things") == dict.fromkeys(HOURS, 2) | {HOURS[5]: 3}


def test_a_day_of_hours_is_read_whole_or_not_at_all(lake):
    lake.publish("things", hourly(HOURS[:23]), HOURS[:23], metadata={})
    assert (lake.days("things"), lake.partitions("things")) == ([], HOURS[:23])
    with pytest.raises(
        PartitionMissing, match=r"1 of 24 hours are not in the lake .* first is 2013-01-01T23"
    ):
        lake.read("things", [ONE])
    lake.publish("things", hourly(HOURS[23:]), HOURS[23:], metadata={})
    assert lake.days("things") == [ONE]
    assert set(lake.read("things", [ONE], columns=["hour"])["hour"]) == {f"{hour:02}" for hour in range(24)}


def test_one_hour_is_read_by_itself(lake):
    lake.publish("things", hourly(HOURS), HOURS, metadata={})
    assert set(lake.read("things", HOURS[3:5], columns=["id"])["id"].str[11:13]) == {"03", "04"}


def test_an_hour_without_rows_is_taken_away(lake):
    lake.publish("things", hourly(HOURS[:2]), HOURS[:2], metadata={})
    lake.publish("things", hourly(HOURS[:1], count=0), HOURS[:1], metadata={})
    assert lake.partitions("things") == HOURS[1:2]


def test_a_row_of_another_hour_is_refused(lake):
    with pytest.raises(DataError, match=r"rows of 2013-01-01T02 among those of 2013-01-01T01\. .*own hour"):
        lake.publish("things", hourly(HOURS[2:3]), HOURS[1:2], metadata={})


@pytest.mark.parametrize(("first", "then"), [("day", "hour"), ("hour", "day")])
def test_days_and_hours_do_not_share_a_table(lake, first, then):
    of = {"day": (table_of([ONE]), [ONE]), "hour": (hourly(HOURS[:1]), HOURS[:1])}
    lake.publish("things", *of[first], metadata={})
    with pytest.raises(DataError, match=f"things is a table of {first}s"):
        lake.publish("things", *of[then], metadata={})


def test_writers_of_two_hours_of_one_day_both_get_through(lake):
    lake.publish("things", hourly(HOURS[:1]), HOURS[:1], metadata={})
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: lake.publish("things", hourly([one]), [one], metadata={}), HOURS[1:5]))
    assert lake.counts("things") == dict.fromkeys(HOURS[:5], 2)
