"""All rows of a window of monitoring in a stream, and how many were served and scored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import pandas as pd
from sqlalchemy import func, select

from include.data.feature_store.feature_rows import newest_versions, scan_feature_rows
from include.data.lake.dtypes import to_frame
from include.database.tables import inference_log
from include.partitions import day_of
from include.storage.staging import ROWS_PER_GROUP

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import date, datetime

    from sqlalchemy import ColumnElement, Connection

    from include.data.lake.delta_tables import Lake
    from include.declarations import UseCase
    from include.declarations.relations.feature_selection import FeatureSelection

# Of requests, which have one row or many.
ROWS_PER_PART = 20_000
REQUESTS_PER_FETCH = 200


class Bounds(Protocol):
    """What is needed of an `include.monitoring.windows.Window`."""

    @property
    def source(self) -> str:
        """`requests` or `partitions`."""

    @property
    def start(self) -> datetime:
        """First moment."""

    @property
    def end(self) -> datetime:
        """First moment after it."""

    @property
    def until(self) -> datetime | None:
        """The moment that was looked back from."""

    @property
    def days(self) -> Sequence[date]:
        """Days of partitions."""


class RowCounts(NamedTuple):
    """Rows of a window that requests were answered for, and that batch scoring predicted."""

    served: int
    scored: int


def count_served_and_scored(
    connection: Connection, lake: Lake, use_case: UseCase, window: Bounds
) -> RowCounts:
    """Count the rows of a window by the inference log, and by the log of the table of predictions."""
    log = inference_log.c
    # Requests of the time before the run, also where the window is one of partitions.
    end = window.until or window.end
    start = end - (window.end - window.start) if window.source == "partitions" else window.start
    served = select(func.sum(func.jsonb_array_length(log.inputs))).where(
        *answered_requests(use_case.name, start, end), func.jsonb_typeof(log.inputs) == "array"
    )
    counts = lake.counts(f"{use_case.name}_predictions")
    first = window.start.date()
    scored = sum(
        rows
        for partition, rows in counts.items()
        if (day_of(partition) in window.days if window.days else first <= day_of(partition) < end.date())
    )
    return RowCounts(int(connection.execute(served).scalar_one() or 0), scored)


def scan_inputs(
    connection: Connection,
    lake: Lake,
    use_case: UseCase,
    selection: FeatureSelection,
    window: Bounds,
    *,
    version: int | None = None,
) -> Iterator[pd.DataFrame]:
    """
    Yield the features of all rows of a window, one part after the other; at least one frame.

    Parameters
    ----------
    version
        Version that `use_case` specifies, see `include.monitoring.windows.read_newest_window`.
    """
    if window.source == "partitions":
        yield from scan_partitions(lake, use_case, selection, window.days)
    else:
        yield from _scan_requests(connection, use_case, window, version)


def _scan_requests(
    connection: Connection, use_case: UseCase, window: Bounds, version: int | None
) -> Iterator[pd.DataFrame]:
    log = inference_log.c
    query = select(log.inputs, log.version).where(*answered_requests(use_case.name, window.start, window.end))
    options = {"stream_results": True, "yield_per": REQUESTS_PER_FETCH}
    inputs: list[Mapping[str, Any]] = []
    for rows, answered_by in connection.execute(query, execution_options=options):
        inputs += [row for row in rows or () if is_comparable(row, use_case, version, answered_by)]
        if len(inputs) >= ROWS_PER_PART:
            yield _to_objects(inputs, use_case)
            inputs = []
    yield _to_objects(inputs, use_case)


def _to_objects(inputs: list[Mapping[str, Any]], use_case: UseCase) -> pd.DataFrame:
    """Return the features as objects: the type of a value must not depend on the other rows."""
    return select_features(pd.DataFrame.from_records(inputs).astype(object), use_case)


def scan_partitions(
    lake: Lake, use_case: UseCase, selection: FeatureSelection, days: Collection[date]
) -> Iterator[pd.DataFrame]:
    """Yield the features of all rows of `days`, in frames of at most `ROWS_PER_GROUP` rows."""
    versions = newest_versions(selection, lake)
    names = list(use_case.features)
    tables = scan_feature_rows(
        selection, lake, days, names=names, versions=versions, rows_per_table=ROWS_PER_GROUP
    )
    for table in tables:
        yield to_frame(table.select(names))


def sample_inputs(
    lake: Lake, use_case: UseCase, selection: FeatureSelection, days: Collection[date], *, limit: int
) -> pd.DataFrame:
    """Return the features of the rows of `days`; of more than `limit` rows, those of every k-th."""
    counts = lake.counts(selection.spine.table)
    n_rows = sum(rows for partition, rows in counts.items() if day_of(partition) in days)
    step = max(1, -(-n_rows // limit))
    # Copies: a slice would keep all rows of its part.
    parts = [part.iloc[::step].copy() for part in scan_partitions(lake, use_case, selection, days)]
    return pd.concat(parts, ignore_index=True)


def answered_requests(use_case: str, start: datetime, end: datetime) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions of successful requests from `start` to before `end`, without copies."""
    log = inference_log.c
    return (
        log.use_case == use_case,
        log.role.in_(("champion", "challenger")),
        log.status.between(200, 299),
        log.received_at >= start,
        log.received_at < end,
    )


def is_comparable(row: Mapping[str, Any], use_case: UseCase, version: int | None, answered_by: int) -> bool:
    """Return False for a row that another version than `version` answered, and that lacks a feature."""
    return version in {None, answered_by} or row.keys() >= set(use_case.features)


def scored_days(lake: Lake, use_case: UseCase, days: Collection[date]) -> list[date]:
    """Return those of the days that have batch predictions, oldest first."""
    return sorted(set(days) & set(lake.days(f"{use_case.name}_predictions")))


def select_features(rows: pd.DataFrame, use_case: UseCase) -> pd.DataFrame:
    """Return the features; one that was never sent stays missing, so that drift detection reports it."""
    return rows[[name for name in use_case.features if name in rows]]
