"""Partitions of data: hours, days, weeks and months, their names, and ranges of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias
from zoneinfo import ZoneInfo

from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

Granularity: TypeAlias = Literal["hour", "day", "week", "month"]
# The first day of a day, week or month; or an hour, as the aware `datetime` in UTC at which it begins.
Partition: TypeAlias = date
# When a partition is known: at its start, its end, or this long after its start (negative: before it).
KnownFrom: TypeAlias = Literal["start", "end"] | timedelta

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

    def start_of(self, partition: Partition, days: int = 0) -> datetime:
        """Return the moment, in UTC, at which a partition begins, or so many days of its zone later."""
        later = partition + timedelta(days=days)
        if isinstance(later, datetime):
            return later
        return datetime.combine(later, time(), ZoneInfo(self.time_zone)).astimezone(UTC)

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

    def preceding(self, partition: Partition) -> Partition:
        """Return the partition that ends when this one begins."""
        return self.partition_at(self.start_of(partition) - timedelta(microseconds=1))

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
        _require_past(partitions, self.start_of, now)


@dataclass(frozen=True, slots=True)
class Availability:
    """
    When partitions are known: the one definition for runs, features, labels, embargoes and lateness.

    Parameters
    ----------
    calendar
        Partitions.
    known_from
        Begin of the lag: the end of a partition, its start, or so long after its start.
    lag_days
        Days, of the calendar's zone, from then until a partition is known.
    """

    calendar: Calendar
    known_from: KnownFrom = "end"
    lag_days: int = 0

    def due_at(self, partition: Partition) -> datetime:
        """Return the moment from which a partition is known: it has landed, or its features are online."""
        first = self.calendar.following(partition) if self.known_from == "end" else partition
        return self.calendar.start_of(first, self.lag_days) + self._offset

    def run_at(self, partition: Partition) -> datetime:
        """
        Return when the run begins that waits for a partition: the last midnight of the zone before it is
        due, or the last full hour for hours.
        """
        step = timedelta(hours=1) if self.calendar.granularity == "hour" else timedelta(days=1)
        # One step less than the offset, rounded up: two partitions never have one run.
        steps = -(-self._offset // step) - 1
        first = self.calendar.following(partition) if self.known_from == "end" else partition
        if self.calendar.granularity == "hour":
            return self.calendar.start_of(first, self.lag_days) + steps * step
        return self.calendar.start_of(first, self.lag_days + steps)

    def newest_due(self, moment: datetime) -> Partition:
        """Return the newest partition that is known at a moment."""
        return self._newest(moment, self.due_at)

    def newest_run(self, moment: datetime) -> Partition:
        """Return the newest partition whose run begins at a moment or before it."""
        return self._newest(moment, self.run_at)

    def usable_from(self, day: date) -> date:
        """Return the first day, after `day`, at whose begin in UTC all data of `day` is known."""
        partitions = self.calendar.overlapping(start_of(day), end_of(day))
        due = max(self.due_at(partition) for partition in partitions)
        morning = due.date() if due.time() == time() else due.date() + timedelta(days=1)
        return max(morning, day + timedelta(days=1))

    @property
    def embargo_days(self) -> int:
        """Days before the begin of a day of which not all data is known by then."""
        return (self.usable_from(EPOCH) - EPOCH).days - 1

    def require_open(self, partitions: Iterable[Partition], now: datetime) -> None:
        """
        Raise an error if one of these partitions has not begun, and is not waited for yet.

        Raises
        ------
        DataError
            With the name of the first such partition.
        """
        _require_past(partitions, lambda part: min(self.calendar.start_of(part), self.run_at(part)), now)

    @property
    def _offset(self) -> timedelta:
        return self.known_from if isinstance(self.known_from, timedelta) else timedelta(0)

    def _newest(self, moment: datetime, clock: Callable[[Partition], datetime]) -> Partition:
        partition = self.calendar.partition_at(moment)
        while clock(partition) > moment:
            partition = self.calendar.preceding(partition)
        while clock(self.calendar.following(partition)) <= moment:
            partition = self.calendar.following(partition)
        return partition


# A Monday.
EPOCH = date(2001, 1, 1)
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


def _require_past(
    partitions: Iterable[Partition], clock: Callable[[Partition], datetime], now: datetime
) -> None:
    future = [partition for partition in partitions if clock(partition) > now]
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
