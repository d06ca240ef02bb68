"""Partitions of data: hours, days, weeks and months, their names, and ranges of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias
from zoneinfo import ZoneInfo

from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Granularity: TypeAlias = Literal["hour", "day", "week", "month"]
# The first day of a day, week or month; or an hour, as the aware `datetime` in UTC at which it begins.
Partition: TypeAlias = date

FORMAT = "%Y-%m-%d"
HOUR_FORMAT = "%Y-%m-%dT%H"


@dataclass(frozen=True, slots=True)
class Calendar:
    """
    How time is divided into partitions.

    Parameters
    ----------
    granularity
        Length of a partition; a week begins on Monday.
    time_zone
        Zone in which days, weeks and months begin at midnight, so that a day on which its clocks change has
        23 or 25 hours. Hours are always those of UTC.
    """

    granularity: Granularity = "day"
    time_zone: str = "UTC"

    def start_of(self, partition: Partition) -> datetime:
        """Return the moment, in UTC, at which a partition begins."""
        if isinstance(partition, datetime):
            return partition
        return datetime.combine(partition, time(), ZoneInfo(self.time_zone)).astimezone(UTC)

    def end_of(self, partition: Partition) -> datetime:
        """Return the first moment, in UTC, after a partition."""
        return self.start_of(self.following(partition))

    def following(self, partition: Partition) -> Partition:
        """Return the partition that begins when this one ends."""
        if isinstance(partition, datetime):
            return partition + timedelta(hours=1)
        if self.granularity == "month":
            return self.partition_of(partition.replace(day=28) + timedelta(days=4))
        return partition + timedelta(days=7 if self.granularity == "week" else 1)

    def partition_of(self, day: date) -> Partition:
        """Return the day, week or month that contains a day."""
        if self.granularity == "month":
            return day.replace(day=1)
        return day - timedelta(days=day.weekday()) if self.granularity == "week" else day

    def partition_at(self, moment: datetime) -> Partition:
        """Return the partition that contains a moment."""
        if self.granularity == "hour":
            return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        return self.partition_of(moment.astimezone(ZoneInfo(self.time_zone)).date())

    def overlapping(self, first: datetime, end: datetime) -> Iterator[Partition]:
        """Yield the partitions with a part between `first` and `end`, which is not included."""
        partition = self.partition_at(first)
        while self.start_of(partition) < end:
            yield partition
            partition = self.following(partition)

    def parse(self, partition_key: str) -> list[Partition]:
        """
        Return the partitions of a key, oldest first.

        Parameters
        ----------
        partition_key
            A partition such as `2013-07-01T05`, or a range such as `2013-01-01..2013-06-30`. A week or a
            month is named by its first day; of hourly data, a day is its 24 hours.

        Raises
        ------
        DataError
            If the key is neither a partition nor a range, names hours of data with days, or does not begin
            with the first day of a week or month.
        """
        begin, end = _parse_range(partition_key)
        if self.granularity == "hour":
            return list(self.overlapping(start_of(begin), end_of(end)))
        if isinstance(begin, datetime) or isinstance(end, datetime):
            raise DataError(
                f"{partition_key!r} names hours, but the data comes by {self.granularity}: give 2013-07-01."
            )
        first = self.partition_of(begin)
        if begin != first:
            raise DataError(
                f"{partition_key!r} does not begin with a {self.granularity}: give its first day, {first}."
            )
        partitions = [first]
        while self.following(partitions[-1]) <= end:
            partitions.append(self.following(partitions[-1]))
        return partitions

    def require_started(self, partitions: Iterable[Partition], now: datetime) -> None:
        """
        Raise an error if one of these partitions has not begun.

        Raises
        ------
        DataError
            With the name of the first such partition.
        """
        future = [partition for partition in partitions if self.start_of(partition) > now]
        if future:
            raise DataError(
                f"{format_partition(future[0])} has not begun yet: it is {now:%Y-%m-%d %H:%M} UTC. "
                "Run it after it has begun, or correct the partition."
            )


DAYS = Calendar()
HOURS = Calendar("hour")


def format_partition(partition: Partition) -> str:
    """Return `2013-07-01` for a day, or the week or month that it begins; `2013-07-01T05` for an hour."""
    return partition.strftime(HOUR_FORMAT if isinstance(partition, datetime) else FORMAT)


def format_key(partitions: Sequence[Partition]) -> str:
    """Return the name of one partition, or `2013-01-01..2013-06-30` for a range."""
    first = format_partition(partitions[0])
    last = format_partition(partitions[-1])
    return first if len(partitions) == 1 else f"{first}..{last}"


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
    """Return the day, in UTC, that a partition is or lies in; of a week or month the first."""
    return partition.date() if isinstance(partition, datetime) else partition


def hours_of(day: date) -> list[datetime]:
    """Return the 24 hours of a day; UTC has no daylight saving time."""
    return [start_of(day) + timedelta(hours=number) for number in range(24)]


def start_of(partition: Partition) -> datetime:
    """Return the moment at which a day or an hour in UTC begins."""
    return DAYS.start_of(partition)


def end_of(partition: Partition) -> datetime:
    """Return the first moment after a day or an hour in UTC."""
    return DAYS.end_of(partition)


def contiguous_ranges(partitions: Iterable[Partition], calendar: Calendar = DAYS) -> list[list[Partition]]:
    """Return the partitions as the fewest lists without gaps, oldest first."""
    ranges: list[list[Partition]] = []
    for partition in sorted(partitions):
        if ranges and partition == calendar.following(ranges[-1][-1]):
            ranges[-1].append(partition)
        else:
            ranges.append([partition])
    return ranges


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
