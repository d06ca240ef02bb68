from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import chain

import pandas as pd
import pyarrow as pa
import pytest

from include.data.lake.partition_columns import (
    PartitionSet,
    parse_partition_name,
    partition_from_columns,
    with_partition_columns,
)
from include.partitions import hours_of

DAY = date(2013, 7, 1)
NEXT = date(2013, 7, 2)
FIVE = datetime(2013, 7, 1, 5, tzinfo=UTC)
SIX = datetime(2013, 7, 1, 6, tzinfo=UTC)
MIDNIGHT = datetime(2013, 7, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("partitions", "name"),
    [
        ([], "no day at all"),
        ([DAY], "2013-07-01"),
        ([NEXT, DAY, DAY], "2013-07-01 … 2013-07-02"),
        ([SIX, FIVE], "2013-07-01T05 … 2013-07-01T06"),
    ],
)
def test_set_is_named_by_its_first_and_last_partition(partitions, name):
    assert str(PartitionSet.of(partitions)) == name


@pytest.mark.parametrize(
    ("partitions", "key"),
    [
        ([], ""),
        ([DAY], "2013-07-01"),
        ([DAY, NEXT, date(2013, 7, 9)], "2013-07-01..2013-07-02,2013-07-09"),
        ([FIVE, SIX, MIDNIGHT], "2013-07-01T05..2013-07-01T06,2013-07-02T00"),
    ],
)
def test_key_names_every_partition(partitions, key):
    assert PartitionSet.of(partitions).key == key
    assert PartitionSet.parse(key) == PartitionSet.of(partitions)


@pytest.mark.parametrize(
    ("partitions", "predicate"),
    [
        ([DAY, NEXT], "_airworthy_day IN ('2013-07-01', '2013-07-02')"),
        (
            [FIVE, SIX, MIDNIGHT],
            "(_airworthy_day = '2013-07-01' AND _airworthy_hour IN ('05', '06')) OR "
            "(_airworthy_day = '2013-07-02' AND _airworthy_hour IN ('00'))",
        ),
    ],
    ids=["days", "hours"],
)
def test_predicate_selects_the_partitions(partitions, predicate):
    assert PartitionSet.of(partitions).predicate() == predicate


@pytest.mark.parametrize(
    "partitions",
    [[FIVE, SIX, MIDNIGHT], [*hours_of(DAY), MIDNIGHT], [FIVE, MIDNIGHT.replace(hour=5)], hours_of(DAY)],
    ids=["some hours", "a whole day and an hour", "one hour of each day", "a whole day"],
)
def test_expression_selects_the_hours_in_files_of_their_days(partitions):
    chosen = PartitionSet.of(partitions)
    days = [day for day in (DAY, NEXT) if f"{day}" in chosen.by_day()]
    hours = list(chain.from_iterable(map(hours_of, days)))
    of_files = pa.table({"_airworthy_day": [f"{hour:%Y-%m-%d}" for hour in hours],
                         "_airworthy_hour": [f"{hour:%H}" for hour in hours]})  # fmt: skip
    condition = chosen.expression()
    rows = of_files if condition is None else of_files.filter(condition)
    assert chosen.partition_names(rows).to_pylist() == list(chosen.names)


def test_expression_has_one_part_for_all_days_that_are_alike():
    """Arrow evaluates it for each file: with a part for each day, half a year of hours took half a minute."""
    hours = list(chain.from_iterable(map(hours_of, pd.date_range(DAY, periods=180).date)))
    assert PartitionSet.of(hours).expression() is None
    assert str(PartitionSet.of(hours[:-1]).expression()).count("is_in") == 4


@pytest.mark.parametrize(
    ("partition", "columns", "name"),
    [
        (DAY, {"_airworthy_day": "2013-07-01"}, "2013-07-01"),
        (FIVE, {"_airworthy_day": "2013-07-01", "_airworthy_hour": "05"}, "2013-07-01T05"),
    ],
    ids=["day", "hour"],
)
def test_partition_columns_describe_the_partition(partition, columns, name):
    frame = with_partition_columns(pd.DataFrame({"id": ["a"]}), partition)
    assert frame.drop(columns="id").to_dict("records") == [columns]
    assert partition_from_columns(columns) == partition
    assert parse_partition_name(name) == partition
    assert PartitionSet.of([partition]).names_in(frame) == {name}
