"""Availability: when a partition and a row are known; one definition for checks, training and serving."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pandas as pd

from include.catalog import catalog
from include.data.lake import commit_log
from include.data.lake.partition_columns import DAY, HOUR, parse_partition_name
from include.partitions import day_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from include.data.lake.commit_log import Commit
    from include.data.lake.delta_tables import Lake
    from include.declarations import Dataset, FeatureView, ViewSource
    from include.partitions import Granularity, Partition

# Beginnings of the ids of runs that the clock, a published source, or a backfill started.
SCHEDULED = "scheduled__"
TRIGGERED = "asset_triggered__"
BACKFILL = "backfill__"
_EARLIEST = datetime.min.replace(tzinfo=UTC)

# Commits of tables by partition, oldest first.
Histories = dict[str, dict["Partition", list["Commit"]]]


def scheduled_publications(dataset: Dataset, lake: Lake) -> dict[Partition, datetime]:
    """
    Return when each partition was published that a scheduled run published first.

    Backfills and bulk runs load history, whose commit times say nothing about what was known.
    """
    return {
        partition: commits[0].at
        for partition, commits in _list_by_partition(dataset.name, lake).items()
        if _run_id(commits[0]).startswith(SCHEDULED)
    }


def late_publications(dataset: Dataset, lake: Lake) -> dict[Partition, datetime]:
    """
    Return when each partition was published that was first published after it was due, by a scheduled run.

    A partition of a feature view counts if the publication of its sources started the run that built it, and
    scheduled runs had published those.
    """
    due_at = dataset.availability.due_at
    histories: Histories = {dataset.name: _list_by_partition(dataset.name, lake)}
    return {
        partition: commits[0].at
        for partition, commits in histories[dataset.name].items()
        if commits[0].at > due_at(partition) and _came_live(dataset.name, partition, histories, lake)
    }


def version_times(dataset: Dataset, lake: Lake) -> dict[Partition, datetime]:
    """
    Return when a scheduled run or a backfill read each version of a dataset that is read whole.

    The file had its present state only then, whatever day the version is named by. A run that a person
    triggers for a day says that the file is valid from that day on: its version is missing. The versions of a
    feature view are those that came late.
    """
    if dataset.name in catalog().feature_views:
        return late_publications(dataset, lake)
    times: dict[Partition, datetime] = {}
    for commit in commit_log.list_commits(lake, dataset.name):
        if _run_id(commit).startswith((SCHEDULED, BACKFILL)):
            times |= dict.fromkeys(commit.partitions, commit.at)
        elif commit.run.startswith(f"{dataset.name}_ingestion/"):
            for partition in commit.partitions:
                times.pop(partition, None)
    return times


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


def _list_by_partition(table: str, lake: Lake) -> dict[Partition, list[Commit]]:
    history: dict[Partition, list[Commit]] = {}
    for commit in commit_log.list_commits(lake, table):
        for partition in commit.partitions:
            history.setdefault(partition, []).append(commit)
    return history


def _run_id(commit: Commit) -> str:
    return commit.run.rpartition("/")[2]


def _came_live(table: str, partition: Partition, histories: Histories, lake: Lake) -> bool:
    """Return whether a partition was first published while the pipeline ran, not by loading history."""
    if table not in histories:
        histories[table] = _list_by_partition(table, lake)
    commits = histories[table].get(partition)
    if not commits:
        return False
    view = catalog().feature_views.get(table)
    if view is None:
        return _run_id(commits[0]).startswith(SCHEDULED)
    if not _run_id(commits[0]).startswith(TRIGGERED):
        return False
    return all(
        _came_live(source, read, histories, lake)
        # A source that was published again started the run: the view may be younger than its days.
        and not _came_again(histories[source][read], commits[0].at)
        for source, read in _dated_inputs(view, partition)
    )


def _came_again(commits: Sequence[Commit], by: datetime) -> bool:
    """Return whether a partition with these commits had been published more than once by a moment."""
    return len(commits) > 1 and commits[1].at <= by


def _dated_inputs(view: FeatureView, partition: Partition) -> Iterator[tuple[str, Partition]]:
    """Yield the tables and partitions that a partition of a view is built from, without reference tables."""
    for source in view.sources:
        declared = catalog().sources[source.dataset]
        if view.is_dated and declared.whole:
            continue
        for read in source_partitions(view, source, declared, partition):
            if exists(declared, read):
                yield source.dataset, read


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
