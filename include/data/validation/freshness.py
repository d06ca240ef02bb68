"""Whether the moments in a partition are those of its time: near it, and fresh at its end."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.data.validation.expectations import OF_DAYS, Check, make_result
from include.partitions import end_of, format_partition, start_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.data.validation.results import Outcome
    from include.declarations import Freshness
    from include.partitions import Partition

    Array = np.ndarray[Any, Any]

A_DAY = timedelta(days=1)


def bounds(
    within: timedelta, places: Array, partitions: Sequence[Partition]
) -> tuple[pd.DatetimeIndex, pd.DatetimeIndex]:
    """Return of each row the moments from and before which it is near its partition."""
    of_row = np.maximum(places, 0)
    low = pd.DatetimeIndex([start_of(one) - within for one in partitions]).as_unit("us")
    high = pd.DatetimeIndex([end_of(one) + within for one in partitions]).as_unit("us")
    return low.take(of_row), high.take(of_row)


def outside(values: pd.Series[Any], low: pd.DatetimeIndex, high: pd.DatetimeIndex) -> Array:
    """Return where a moment is before `low`, or not before `high`; nowhere that it is null."""
    moments = pd.DatetimeIndex(values)
    found: Array = np.asarray((moments < low) | (moments >= high))
    return found


def fresh(
    promise: Freshness, values: pd.Series[Any], places: Array, partitions: Sequence[Partition]
) -> Outcome:
    """
    Return whether the newest moment of each partition is at most `within` older than the partition's end.

    One that lies further behind the end than `within` and than a day has failed too: a moment from the future
    says nothing of how fresh the others are.
    """
    newest = values.groupby(places, sort=False).max()
    late: dict[str, str] = {}
    for place, partition in enumerate(partitions):
        moment, end = newest.get(place, pd.NaT), end_of(partition)
        if pd.isna(moment):
            late[format_partition(partition)] = "no moment at all"
        elif not end - promise.within <= moment <= end + max(promise.within, A_DAY):
            late[format_partition(partition)] = str(moment)
    outcome = make_result(
        "expect_column_max_to_be_between",
        promise.column,
        success=not late,
        result={
            "observed_value": str(newest.max()),
            "unexpected_count": len(late),
            "partial_unexpected_list": list(late.values()),
            "unexpected_index_list": list(late),
        },
        severity=promise.severity,
        min_value=str(end_of(partitions[0]) - promise.within),
    )
    told = f"the newest {promise.column} is not within {spoken(promise.within)} of the partition's end"
    return Check(None, OF_DAYS, told), outcome


def spoken(duration: timedelta) -> str:
    """Return a duration as people say it: `6 hours`, `2 days`."""
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        number = duration.total_seconds() / size
        if number >= 1 and number.is_integer():
            return f"{number:g} {unit}{'' if number == 1 else 's'}"
    return f"{duration.total_seconds():g} seconds"
