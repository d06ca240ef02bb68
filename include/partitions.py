"""The names of partitions: a day, or a range of days that one bulk run made."""

from __future__ import annotations

from datetime import date, timedelta

from include.errors import DataError

FORMAT = "%Y-%m-%d"


def key(days: list[date]) -> str:
    """Return `2013-07-01` for one day, `2013-01-01..2013-06-30` for all days of a range."""
    return f"{days[0]}" if len(days) == 1 else f"{days[0]}..{days[-1]}"


def days(partition_key: str) -> list[date]:
    """
    Return every day of a partition key, oldest first.

    :raises DataError: if the key is neither a day nor a range
    """
    try:
        first, _, last = partition_key.partition("..")
        begin = date.fromisoformat(first)
        end = date.fromisoformat(last) if last else begin
    except ValueError as error:
        raise DataError(
            f"{partition_key!r} is no partition: give 2013-07-01 or 2013-01-01..2013-06-30."
        ) from error
    if end < begin:
        raise DataError(f"{partition_key!r} ends before it begins.")
    return [begin + timedelta(days=n) for n in range((end - begin).days + 1)]
