"""Partitions of data: days and hours in UTC, their names, and ranges of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias

from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Granularity: TypeAlias = Literal["day", "hour"]
# A day, or an hour as the aware `datetime` in UTC at which it begins.
Partition: TypeAlias = date

FORMAT = "%Y-%m-%d"
HOUR_FORMAT = "%Y-%m-%dT%H"
STEP: dict[Granularity, timedelta] = {"day": timedelta(days=1), "hour": timedelta(hours=1)}


def format_partition(partition: Partition) -> str:
    """Return `2013-07-01` for a day, `2013-07-01T05` for an hour."""
    return partition.strftime(HOUR_FORMAT if isinstance(partition, datetime) else FORMAT)


def format_key(partitions: Sequence[Partition]) -> str:
    """Return the name of one partition, or `2013-01-01..2013-06-30` for a range."""
    first = format_partition(partitions[0])
    last = format_partition(partitions[-1])
    return first if len(partitions) == 1 else f"{first}..{last}"


def parse_partition(partition_key: str, granularity: Granularity = "day") -> list[Partition]:
    """
    Return the partitions of a key, oldest first.

    Parameters
    ----------
    partition_key
        A partition such as `2013-07-01T05`, or a range such as `2013-01-01..2013-06-30`.
    granularity
        Granularity of the data; with "hour", a day is its 24 hours.

    Raises
    ------
    DataError
        If the key is neither a partition nor a range, or names hours of data with days.
    """
    begin, end = _parse_range(partition_key)
    step = STEP[granularity]
    if granularity == "day":
        if isinstance(begin, datetime) or isinstance(end, datetime):
            raise DataError(f"{partition_key!r} names hours, but the data comes by day: give 2013-07-01.")
        return [begin + number * step for number in range((end - begin) // step + 1)]
    first = start_of(begin)
    return [first + number * step for number in range((end_of(end) - first) // step)]


def parse_key(partition_key: str) -> list[date]:
    """
    Return the days that a partition or range touches, oldest first.

    Raises
    ------
    DataError
        If the key is neither a partition nor a range.
    """
    begin, end = _parse_range(partition_key)
    first = day_of(begin)
    n_days = (day_of(end) - first).days + 1
    return [first + timedelta(days=number) for number in range(n_days)]


def day_of(partition: Partition) -> date:
    """Return the day, in UTC, that a partition is or lies in."""
    return partition.date() if isinstance(partition, datetime) else partition


def hours_of(day: date) -> list[datetime]:
    """Return the 24 hours of a day; UTC has no daylight saving time."""
    return [start_of(day) + timedelta(hours=number) for number in range(24)]


def start_of(partition: Partition) -> datetime:
    """Return the moment at which a partition begins."""
    if isinstance(partition, datetime):
        return partition
    return datetime.combine(partition, time(), UTC)


def end_of(partition: Partition) -> datetime:
    """Return the first moment after a partition."""
    return start_of(partition) + STEP["hour" if isinstance(partition, datetime) else "day"]


def contiguous_ranges(partitions: Iterable[Partition]) -> list[list[Partition]]:
    """Return the partitions as the fewest lists without gaps, oldest first."""
    ranges: list[list[Partition]] = []
    for partition in sorted(partitions):
        if ranges and start_of(partition) == end_of(ranges[-1][-1]):
            ranges[-1].append(partition)
        else:
            ranges.append([partition])
    return ranges


def require_started(partitions: Iterable[Partition], now: datetime) -> None:
    """
    Raise an error if one of these partitions has not begun.

    Raises
    ------
    DataError
        With the name of the first such partition.
    """
    future = [partition for partition in partitions if start_of(partition) > now]
    if future:
        raise DataError(
            f"{format_partition(future[0])} has not begun yet: it is {now:%Y-%m-%d %H:%M} UTC. "
            "Run it after it has begun, or correct the partition."
        )


def _parse_range(partition_key: str) -> tuple[Partition, Partition]:
    first, _, last = partition_key.partition("..")
    try:
        begin = _parse_bound(first)
        end = _parse_bound(last) if last else begin
    except ValueError as error:
        raise DataError(
            f"{partition_key!r} is no partition: give 2013-07-01, 2013-07-01T05, "
            "or a range such as 2013-01-01..2013-06-30."
        ) from error
    if end_of(end) <= start_of(begin):
        raise DataError(f"{partition_key!r} ends before it begins.")
    return begin, end


def _parse_bound(text: str) -> Partition:
    if "T" in text:
        return datetime.strptime(text, HOUR_FORMAT).replace(tzinfo=UTC)
    return date.fromisoformat(text)
