"""Selection of a part of some data: a year, a month, a day, or the rows with a value in a column."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from include import partitions
from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.partitions import Partition

CALENDAR_PARAMETERS = ("year", "month", "day")


@dataclass(frozen=True)
class BatchFilter:
    """
    Rows with the given values, from the first to the last of some days.

    Attributes
    ----------
    values : mapping of str to object
        Value by column.
    first, last : date or None
        First and last day, both included; None for all days.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    first: date | None = None
    last: date | None = None

    @property
    def days(self) -> list[Partition] | None:
        """Every selected day, or None for all days."""
        if self.first is None or self.last is None:
            return None
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]

    def __str__(self) -> str:
        """Return the partition key and the values."""
        days = self.days
        parts = [partitions.format_key(days)] if days else []
        parts += [f"{name}={value}" for name, value in self.values.items()]
        return ", ".join(parts) or "everything"

    def without_days(self) -> BatchFilter:
        """Return the filter for all days, for rows of the right days."""
        return BatchFilter(self.values)

    def select(self, frame: pd.DataFrame, time: str | None) -> pd.DataFrame:
        """
        Return the selected rows of `frame`; `time` is its column of days or moments.

        Raises
        ------
        DataError
            If the frame lacks a column of the filter.
        """
        self.require_columns([str(name) for name in frame.columns], time)
        for name, value in self.values.items():
            frame = frame[(frame[name] == value) | (frame[name].astype(str) == str(value))]
        if self.first is None or self.last is None:
            return frame
        moments = pd.to_datetime(frame[time], utc=True, format="ISO8601")
        begin, end = self.span()
        return frame[(moments >= begin) & (moments < end)]

    def condition(self, time: str | None) -> str:
        """Return the filter as an SQL condition with quoted values, empty for all rows."""
        parts = [f"{_quote_name(name)} = {_quote_value(value)}" for name, value in self.values.items()]
        if self.first is not None and time is not None:
            begin, end = self.span()
            parts.append(f"{_quote_name(time)} >= {_quote_value(begin.isoformat())}")
            parts.append(f"{_quote_name(time)} < {_quote_value(end.isoformat())}")
        return " AND ".join(parts)

    def span(self) -> tuple[datetime, datetime]:
        """Return the first selected moment, and the first moment after the selected days."""
        first = self.first or date.min
        last = self.last or date.max
        return partitions.start_of(first), partitions.end_of(last)

    def require_columns(self, columns: list[str], time: str | None) -> None:
        """
        Raise DataError if the data lacks a column of the filter.

        Raises
        ------
        DataError
            With the names of the missing columns.
        """
        if self.first is not None and time is None:
            raise DataError(
                "gx_batch_parameters name days: give the operator `time`, the column that has them."
            )
        needed = set(self.values)
        if self.first is not None and time:
            needed.add(time)
        unknown = sorted(needed - set(columns))
        if unknown:
            raise DataError(
                f"gx_batch_parameters: the data has no column {', '.join(unknown)}; "
                f"it has {', '.join(columns)}."
            )


def parse_batch_parameters(parameters: Mapping[str, Any] | None, *, time: str | None) -> BatchFilter:
    """
    Return the filter that batch parameters in the form of Great Expectations describe.

    `year`, `month` and `day` are parts of the calendar if there is a column `time`, `partition` is a key such
    as `2013-07-01..2013-07-07`; every other name is a column with its value.

    Raises
    ------
    DataError
        If there is no such day.
    """
    values = dict(parameters or {})
    try:
        partition_key = values.pop("partition", None)
        if partition_key:
            days = partitions.parse_key(str(partition_key))
            return BatchFilter(values, days[0], days[-1])
        if time is None or "year" not in values:
            return BatchFilter(values)
        calendar = {name: values.pop(name) for name in CALENDAR_PARAMETERS if name in values}
        numbers = {name: int(value) for name, value in calendar.items() if value}
        first, last = _calendar_bounds(numbers.get("year", 0), numbers.get("month"), numbers.get("day"))
        return BatchFilter(values, first, last)
    except (TypeError, ValueError) as error:
        raise DataError(f"gx_batch_parameters {dict(parameters or {})} name no day: {error}.") from error


def _calendar_bounds(year: int, month: int | None, day: int | None) -> tuple[date, date]:
    if month is None:
        return date(year, 1, 1), date(year, 12, 31)
    if day is None:
        return date(year, month, 1), date(year, month, monthrange(year, month)[1])
    return date(year, month, day), date(year, month, day)


def _quote_name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _quote_value(value: Any) -> str:
    text = value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
    return "'" + text.replace("'", "''") + "'"
