"""Availability: when a partition and a row are known; one definition for checks, training and serving."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pandas as pd

from include.data.lake import commit_log
from include.data.lake.partition_columns import DAY, HOUR, parse_partition_name
from include.partitions import day_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.data.lake.commit_log import Commit
    from include.data.lake.delta_tables import Lake
    from include.declarations import Dataset, FeatureView, ViewSource
    from include.partitions import Granularity, Partition

# Beginning of the id of a run that the clock started.
SCHEDULED = "scheduled__"
_EARLIEST = datetime.min.replace(tzinfo=UTC)


def scheduled_publications(dataset: Dataset, lake: Lake) -> dict[Partition, datetime]:
    """
    Return when each partition was published that a scheduled run published first.

    Backfills and bulk runs load history, whose commit times say nothing about what was known.
    """
    first: dict[Partition, Commit] = {}
    for commit in commit_log.list_commits(lake, dataset.name):
        for partition in commit.partitions:
            first.setdefault(partition, commit)
    return {
        partition: commit.at
        for partition, commit in first.items()
        if commit.run.rpartition("/")[2].startswith(SCHEDULED)
    }


def late_publications(dataset: Dataset, lake: Lake) -> dict[Partition, datetime]:
    """Return when each partition was published that a scheduled run published after it was due."""
    due_at = dataset.availability.due_at
    published = scheduled_publications(dataset, lake)
    return {partition: at for partition, at in published.items() if at > due_at(partition)}


def known_at(
    dataset: Dataset,
    rows: pd.DataFrame,
    *,
    online: bool,
    late: Mapping[Partition, datetime] | None = None,
) -> pd.Series[pd.Timestamp]:
    """
    Return when each row was known.

    Parameters
    ----------
    dataset
        Declaration of the rows' dataset.
    rows
        Rows (n, columns) with their partition columns.
    online
        Whether the features are looked up online. A row can then be used from the moment at which its
        partition is known, whatever its column `known_at` says before that.
    late
        Publication time of the partitions that came late while the pipeline ran.

    Returns
    -------
    pandas.Series
        Times (n,) in UTC: the column `known_at`, without one the moment at which the partition is known.
    """
    if dataset.known_at is not None and not online:
        return rows[dataset.known_at]
    due = _partitions_due(dataset, rows, late or {})
    if dataset.known_at is None:
        return due
    times = rows[dataset.known_at]
    return times.where(times.isna() | (times > due), due)


def source_partitions(
    view: FeatureView, source: ViewSource, dataset: Dataset, partition: Partition
) -> list[Partition]:
    """
    Return the partitions of a dataset that a partition of a view is built from, ascending.

    They are those of its own time and of the lookback before it that are known when the view's partition is.
    """
    start = view.calendar.start_of(partition)
    first = start - min(source.lookback, start - _EARLIEST)
    known_by = view.availability.due_at(partition)
    candidates = dataset.calendar.overlapping(first, view.calendar.end_of(partition))
    return [candidate for candidate in candidates if dataset.availability.due_at(candidate) <= known_by]


def reading_partitions(
    view: FeatureView, source: ViewSource, dataset: Dataset, partition: Partition
) -> list[Partition]:
    """Return the partitions of a view that are built from a partition of a dataset, ascending."""
    known_by = dataset.availability.due_at(partition)
    start = dataset.calendar.start_of(partition)
    end = dataset.calendar.end_of(partition)
    candidates = view.calendar.overlapping(start, end + source.lookback)
    return [candidate for candidate in candidates if view.availability.due_at(candidate) >= known_by]


def exists(dataset: Dataset, partition: Partition) -> bool:
    """Return whether a partition lies between the first and the last of its dataset."""
    return dataset.first_partition <= day_of(partition) <= (dataset.last_partition or date.max)


def partition_names(rows: pd.DataFrame, granularity: Granularity) -> pd.Series[str]:
    """Return the name of each row's partition, (n,)."""
    days = rows[DAY].astype(str)
    return days + "T" + rows[HOUR].astype(str) if granularity == "hour" else days


def _partitions_due(
    dataset: Dataset, rows: pd.DataFrame, late: Mapping[Partition, datetime]
) -> pd.Series[pd.Timestamp]:
    names = partition_names(rows, dataset.granularity)
    due = {}
    for name in names.unique():
        partition = parse_partition_name(name)
        due[name] = late.get(partition) or dataset.availability.due_at(partition)
    times = pd.to_datetime(names.map(due), utc=True)
    return times.astype("datetime64[us, UTC]")
