"""Lineage of feature views: partitions that they were built from, and views built from a partition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.catalog import catalog
from include.data.features import availability, references
from include.data.lake import commit_log
from include.partitions import day_of, hours_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import date

    from include.data.lake.commit_log import Commit
    from include.data.lake.delta_tables import Lake
    from include.declarations import FeatureView, ViewSource

    # A day of a table and the commit that published it.
    Published = tuple[date, Commit]


class CommitLogs(dict[str, list["Commit"]]):
    """Commits of each table, read once."""

    def __init__(self, lake: Lake) -> None:
        super().__init__()
        self._lake = lake

    def __missing__(self, name: str) -> list[Commit]:
        return self.setdefault(name, commit_log.list_commits(self._lake, name))


def read_inputs(logs: CommitLogs, view: str, features: Collection[Published]) -> dict[str, set[Published]]:
    """Return by table the partitions that days of a view were built from, also through other views."""
    inputs: dict[str, set[Published]] = {}
    pending = {view: set(features)}
    while pending:
        name, built = pending.popitem()
        declared = catalog().feature_views[name]
        for source in declared.sources:
            earlier = inputs.setdefault(source.dataset, set())
            new = set(_source_days(logs, declared, source, built)) - earlier
            earlier |= new
            if new and source.dataset in catalog().feature_views:
                pending.setdefault(source.dataset, set()).update(new)
    return inputs


def read_dependents(logs: CommitLogs, table: str, day: date, commits: list[Commit]) -> list[Published]:
    """Return the days of views that read `day` in a state of `commits`, also through other views."""
    dependents: dict[Published, None] = {}
    pending = [(table, day, commits)]
    while pending:
        for reader in _reading_features(logs, *pending.pop()):
            if reader not in dependents:
                dependents[reader] = None
                pending.append((reader[1].table, reader[0], [reader[1]]))
    return list(dependents)


def _source_days(
    logs: CommitLogs, view: FeatureView, source: ViewSource, features: Collection[Published]
) -> Iterator[Published]:
    """Yield the days of `source`, with their commits, that days of the view were built from."""
    declared = catalog().sources[source.dataset]
    for built_day, feature_commit in features:
        if references.is_reference(view, declared):
            for day in _reference_days(view, source, feature_commit, built_day):
                commit = commit_log.producing_commit(logs[source.dataset], day, at=feature_commit.at)
                if commit is not None:
                    yield day, commit
            continue
        read = availability.source_partitions(view, source, declared, built_day)
        for day in sorted({day_of(partition) for partition in read}):
            commit = commit_log.producing_commit(logs[source.dataset], day, at=feature_commit.at)
            if commit is not None:
                yield day, commit


def _reading_features(logs: CommitLogs, table: str, day: date, commits: list[Commit]) -> Iterator[Published]:
    """Yield the days of feature views that read `day` while one of `commits` was its state."""
    for view in catalog().feature_views.values():
        for source in view.sources:
            if source.dataset != table:
                continue
            is_reference = references.is_reference(view, catalog().sources[table])
            readers = set() if is_reference else _reading_days(view, source, day)
            for commit in logs[view.name]:
                if is_reference:
                    readers = {
                        reader
                        for reader in commit.days
                        if day in _reference_days(view, source, commit, reader)
                    }
                if commit_log.producing_commit(logs[table], day, at=commit.at) in commits:
                    yield from ((reader, commit) for reader in readers if reader in commit.days)


def _reference_days(view: FeatureView, source: ViewSource, commit: Commit, built_day: date) -> list[date]:
    """Return the versions of a reference table that a day of the view was built with in a commit."""
    return [
        day_of(use.version)
        for use in references.from_json(view, commit.references)
        if use.dataset == source.dataset and built_day in map(day_of, use.partitions)
    ]


def _reading_days(view: FeatureView, source: ViewSource, day: date) -> set[date]:
    """Return the days of a view that are built from a day of its source."""
    declared = catalog().sources[source.dataset]
    readers: set[date] = set()
    for partition in hours_of(day) if declared.granularity == "hour" else [day]:
        read_by = availability.reading_partitions(view, source, declared, partition)
        readers.update(day_of(reader) for reader in read_by)
    return readers
