"""Which part of some data is meant: a year, a month, a day, or the rows with a value in a column."""

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

CALENDAR = ("year", "month", "day")


@dataclass(frozen=True)
class Batch:
    """The rows with these values, from the first to the last of these days, or of all days."""

    values: Mapping[str, Any] = field(default_factory=dict)
    first: date | None = None
    last: date | None = None

    @property
    def days(self) -> list[date] | None:
        """Every day that is meant, or None for all."""
        if self.first is None or self.last is None:
            return None
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]

    def __str__(self) -> str:
        parts = [f"{name}={value}" for name, value in self.values.items()]
        days = self.days
        return ", ".join([*([partitions.format_key(days)] if days else []), *parts]) or "everything"

    def without_days(self) -> Batch:
        """Return the same of all days: for rows that are of the right ones already."""
        return Batch(self.values)

    def select(self, frame: pd.DataFrame, time: str | None) -> pd.DataFrame:
        """
        Return the rows of `frame` that are meant; `time` is its column of days or moments.

        :raises DataError: if it lacks a column that is named
        """
        self.refuse_unknown([str(name) for name in frame.columns], time)
        for name, value in self.values.items():
            frame = frame[(frame[name] == value) | (frame[name].astype(str) == str(value))]
        if self.first is None or self.last is None:
            return frame
        moments = pd.to_datetime(frame[time], utc=True, format="ISO8601")
        begin, end = self.span()
        return frame[(moments >= begin) & (moments < end)]

    def condition(self, time: str | None) -> str:
        """Return the same in SQL, with every value quoted."""
        parts = [f"{_name(name)} = {_quoted(value)}" for name, value in self.values.items()]
        if self.first is not None and time is not None:
            begin, end = self.span()
            parts.append(f"{_name(time)} >= {_quoted(begin.isoformat())}")
            parts.append(f"{_name(time)} < {_quoted(end.isoformat())}")
        return " AND ".join(parts)

    def span(self) -> tuple[datetime, datetime]:
        """Return the first moment that is meant, and the first after."""
        first, last = self.first or date.min, self.last or date.max
        return partitions.start_of(first), partitions.end_of(last)

    def refuse_unknown(self, columns: list[str], time: str | None) -> None:
        """
        Do nothing if the data has every column that is named.

        :raises DataError: naming those that it lacks
        """
        if self.first is not None and time is None:
            raise DataError(
                "gx_batch_parameters name days: give the operator `time`, the column that has them."
            )
        named = [*self.values, *([time] if self.first is not None and time else [])]
        unknown = sorted(set(named) - set(columns))
        if unknown:
            raise DataError(
                f"gx_batch_parameters: the data has no column {', '.join(unknown)}; "
                f"it has {', '.join(columns)}."
            )


def batch(parameters: Mapping[str, Any] | None, *, time: str | None) -> Batch:
    """
    Return what parameters in the manner of Great Expectations mean.

    `year`, `month` and `day` are the calendar's where `time` names a column of it, `partition` is a key such
    as `2013-07-01..2013-07-07`; every other name is a column with its value.

    :raises DataError: if there is no such day
    """
    given = dict(parameters or {})
    try:
        if key := given.pop("partition", None):
            days = partitions.parse_key(str(key))
            return Batch(given, days[0], days[-1])
        if time is None or "year" not in given:
            return Batch(given)
        year, month, day = (int(given.pop(name)) if given.get(name) else None for name in CALENDAR)
        return Batch(given, *_bounds(int(year or 0), month, day))
    except (TypeError, ValueError) as error:
        raise DataError(f"gx_batch_parameters {dict(parameters or {})} name no day: {error}.") from error


def _bounds(year: int, month: int | None, day: int | None) -> tuple[date, date]:
    if month is None:
        return date(year, 1, 1), date(year, 12, 31)
    if day is None:
        return date(year, month, 1), date(year, month, monthrange(year, month)[1])
    return date(year, month, day), date(year, month, day)


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _quoted(value: Any) -> str:
    text = value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
    return "'" + text.replace("'", "''") + "'"
