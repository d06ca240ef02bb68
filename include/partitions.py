"""The names of partitions: a day, an hour, or a range of either that one bulk run made."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias

from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Granularity: TypeAlias = Literal["day", "hour"]
Partition: TypeAlias = date  # an hour is the aware `datetime` at which it begins, in UTC

FORMAT = "%Y-%m-%d"
HOUR_FORMAT = "%Y-%m-%dT%H"
STEP: dict[Granularity, timedelta] = {"day": timedelta(days=1), "hour": timedelta(hours=1)}


def format_partition(partition: Partition) -> str:
    """Return `2013-07-01` for a day, `2013-07-01T05` for an hour."""
    return partition.strftime(HOUR_FORMAT if isinstance(partition, datetime) else FORMAT)


def format_key(partitions: Sequence[Partition]) -> str:
    """Return the name of one partition, `2013-01-01..2013-06-30` for all of a range."""
    first, last = format_partition(partitions[0]), format_partition(partitions[-1])
    return first if len(partitions) == 1 else f"{first}..{last}"


def parse_partition(partition_key: str, granularity: Granularity = "day") -> list[Partition]:
    """
    Return every partition of a key, oldest first; a day of a dataset that comes by the hour is its 24 hours.

    :raises DataError: if the key is neither a partition nor a range, or an hour where there are only days
    """
    begin, end = _bounds(partition_key)
    step = STEP[granularity]
    if granularity == "day":
        if isinstance(begin, datetime) or isinstance(end, datetime):
            raise DataError(f"{partition_key!r} names hours, but the data comes by day: give 2013-07-01.")
        return [begin + n * step for n in range((end - begin) // step + 1)]
    first, after = start_of(begin), end_of(end)
    return [first + n * step for n in range((after - first) // step)]


def parse_key(partition_key: str) -> list[date]:
    """
    Return every day that a partition key touches, oldest first.

    :raises DataError: if the key is neither a partition nor a range
    """
    begin, end = (day_of(bound) for bound in _bounds(partition_key))
    return [begin + timedelta(days=n) for n in range((end - begin).days + 1)]


def day_of(partition: Partition) -> date:
    """Return the day, in UTC, that a partition is or lies in."""
    return partition.date() if isinstance(partition, datetime) else partition


def hours_of(day: date) -> list[datetime]:
    """Return the 24 hours of a day: in UTC no clock is ever changed."""
    return [start_of(day) + timedelta(hours=n) for n in range(24)]


def start_of(partition: Partition) -> datetime:
    """Return the moment at which a partition begins."""
    if isinstance(partition, datetime):
        return partition
    return datetime.combine(partition, time(), UTC)


def end_of(partition: Partition) -> datetime:
    """Return the first moment after a partition."""
    return start_of(partition) + STEP["hour" if isinstance(partition, datetime) else "day"]


def contiguous_ranges(partitions: Iterable[Partition]) -> list[list[Partition]]:
    """Return the partitions as the fewest lists without a gap in between, oldest first."""
    found: list[list[Partition]] = []
    for partition in sorted(partitions):
        if found and start_of(partition) == end_of(found[-1][-1]):
            found[-1].append(partition)
        else:
            found.append([partition])
    return found


def require_started(partitions: Iterable[Partition], now: datetime) -> None:
    """
    Do nothing if all of these partitions have begun.

    :raises DataError: naming the first that has not
    """
    future = [partition for partition in partitions if start_of(partition) > now]
    if future:
        raise DataError(
            f"{format_partition(future[0])} has not begun yet: it is {now:%Y-%m-%d %H:%M} UTC. "
            "Run it when it has, or correct the partition."
        )


def _bounds(partition_key: str) -> tuple[Partition, Partition]:
    first, _, last = partition_key.partition("..")
    try:
        begin = _one(first)
        end = _one(last) if last else begin
    except ValueError as error:
        raise DataError(
            f"{partition_key!r} is no partition: give 2013-07-01, 2013-07-01T05, "
            "or a range such as 2013-01-01..2013-06-30."
        ) from error
    if end_of(end) <= start_of(begin):
        raise DataError(f"{partition_key!r} ends before it begins.")
    return begin, end


def _one(text: str) -> Partition:
    if "T" in text:
        return datetime.strptime(text, HOUR_FORMAT).replace(tzinfo=UTC)
    return date.fromisoformat(text)
