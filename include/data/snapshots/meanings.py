"""Meanings of a training: the days of its tables that the same code built."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from include.data.build_code import codes_of
from include.errors import DataError
from include.partitions import contiguous_ranges, day_of, format_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from include.data.lake.delta_tables import Lake
    from include.declarations import UseCase


def select_days(
    use_case: UseCase, lake: Lake, days: Sequence[date], *, versions: Mapping[str, int]
) -> list[date]:
    """
    Return the days whose rows may be trained on together.

    Parameters
    ----------
    days
        Days with features and labels, ascending.
    versions
        Versions of the tables of features and labels.

    Raises
    ------
    DataError
        If different code built the days, unless the use case's `training.stale_days` allows it.
    """
    if use_case.training.stale_days == "use" or not days:
        return list(days)
    selected = list(days)
    for table, version in versions.items():
        codes = _codes_by_day(lake, table, selected, version)
        recorded = [day for day in selected if codes.get(day)]
        stale = [day for day in recorded if codes[day] != codes[recorded[-1]]]
        if not stale:
            continue
        if use_case.training.stale_days == "refuse":
            raise DataError(_describe_stale(use_case, table, stale, selected, codes))
        selected = [day for day in selected if day not in set(stale)]
    return selected


def _codes_by_day(lake: Lake, table: str, days: Sequence[date], version: int) -> dict[date, str]:
    """Return the code of each day; of a day whose hours differ, all of their codes."""
    partitions = {
        partition for partition in lake.partitions(table, version=version) if day_of(partition) in set(days)
    }
    codes: dict[date, set[str]] = {}
    for partition, code in codes_of(lake, table, partitions, version=version).items():
        codes.setdefault(day_of(partition), set()).add(code)
    return {day: "+".join(sorted(day_codes - {""})) for day, day_codes in codes.items()}


def _describe_stale(
    use_case: UseCase, table: str, stale: Sequence[date], days: Sequence[date], codes: Mapping[date, str]
) -> str:
    ranges = [format_key(day_range) for day_range in contiguous_ranges(stale)]
    shown = ", ".join(ranges[:3]) + (" …" if len(ranges) > 3 else "")
    n_codes = len(Counter(codes[day] for day in days if codes.get(day)))
    return (
        f"{use_case.name}: {len(stale)} of {len(days)} days of {table} ({shown}) were built by other code "
        f"than the newest: their values may mean something else ({n_codes} versions). Rebuild them "
        f"(`airworthy features rebuild {table}`, or a backfill of the dataset), or declare "
        '`Training(stale_days="exclude")` to leave them out, or "use" to train on all of them.'
    )
