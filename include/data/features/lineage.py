"""Lineage of feature views: partitions that they were built from, and views built from a partition."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from include.catalog import catalog
from include.data.features import availability, references
from include.data.lake import commit_log
from include.partitions import day_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import date, datetime

    from include.data.lake.commit_log import Commit
    from include.data.lake.delta_tables import Lake
    from include.declarations import FeatureView, ViewSource
    from include.partitions import Partition

    # A partition of a table, an hour or a day, and the commit that published it.
    Published = tuple[Partition, Commit]


class CommitLogs(dict[str, list["Commit"]]):
    """Commits of each table, read once."""

    def __init__(self, lake: Lake) -> None:
        super().__init__()
        self._lake = lake
        self._by_partition: dict[str, dict[Partition, list[Commit]]] = {}

    def __missing__(self, name: str) -> list[Commit]:
        return self.setdefault(name, commit_log.list_commits(self._lake, name))

    def partitions_of(self, name: str, days: Collection[date]) -> list[Partition]:
        """Return the partitions of a table that were ever published for these days, ascending."""
        wanted_days = set(days)
        return sorted(part for part in self._commits_by_partition(name) if day_of(part) in wanted_days)

    def producing_commit(
        self, name: str, partition: Partition, *, version: int | None = None, at: datetime | None = None
    ) -> Commit | None:
        """Return the commit that wrote the rows of a partition; see `commit_log.producing_commit`."""
        commits = self._commits_by_partition(name).get(partition, [])
        return commit_log.producing_commit(commits, partition, version=version, at=at)

    def _commits_by_partition(self, name: str) -> dict[Partition, list[Commit]]:
        if name not in self._by_partition:
            by_partition: dict[Partition, list[Commit]] = defaultdict(list)
            for commit in self[name]:
                for partition in commit.partitions:
                    by_partition[partition].append(commit)
            self._by_partition[name] = dict(by_partition)
        return self._by_partition[name]


def read_inputs(logs: CommitLogs, view: str, features: Collection[Published]) -> dict[str, set[Published]]:
    """Return by table the partitions that those of a view were built from, also through other views."""
    inputs: dict[str, set[Published]] = {}
    pending = {view: set(features)}
    while pending:
        name, built = pending.popitem()
        declared = catalog().feature_views[name]
        for source in declared.sources:
            earlier = inputs.setdefault(source.dataset, set())
            new = set(_source_partitions(logs, declared, source, built)) - earlier
            earlier |= new
            if new and source.dataset in catalog().feature_views:
                pending.setdefault(source.dataset, set()).update(new)
    return inputs


def read_dependents(
    logs: CommitLogs, table: str, partition: Partition, commits: list[Commit]
) -> list[Published]:
    """Return the partitions of views that read this one in a state of `commits`, also through other views."""
    dependents: dict[Published, None] = {}
    pending = [(table, partition, commits)]
    while pending:
        for reader in _reading_features(logs, *pending.pop()):
            if reader not in dependents:
                dependents[reader] = None
                pending.append((reader[1].table, reader[0], [reader[1]]))
    return list(dependents)


def _source_partitions(
    logs: CommitLogs, view: FeatureView, source: ViewSource, features: Collection[Published]
) -> Iterator[Published]:
    """Yield the partitions of `source`, with their commits, that partitions of the view were built from."""
    declared = catalog().sources[source.dataset]
    # Partitions of one commit read the same states, and their lookbacks overlap.
    built_by: dict[Commit, set[Partition]] = defaultdict(set)
    for built, feature_commit in features:
        built_by[feature_commit].add(built)
    for feature_commit, partitions in built_by.items():
        if references.is_reference(view, declared):
            yield from _read_versions(logs, view, source, feature_commit, partitions)
            continue
        read: set[Partition] = set()
        for built in partitions:
            read.update(availability.source_partitions(view, source, declared, built))
        for partition in sorted(read):
            commit = logs.producing_commit(source.dataset, partition, at=feature_commit.at)
            if commit is not None:
                yield partition, commit


def _read_versions(
    logs: CommitLogs, view: FeatureView, source: ViewSource, feature_commit: Commit, built: set[Partition]
) -> Iterator[Published]:
    """Yield the versions of a reference table, with their commits, that these partitions were built with."""
    for use in references.from_json(view, feature_commit.references):
        if use.dataset == source.dataset and not built.isdisjoint(use.partitions):
            commit = logs.producing_commit(use.dataset, use.version, version=use.table_version)
            if commit is not None:
                yield use.version, commit


def _reading_features(
    logs: CommitLogs, table: str, partition: Partition, commits: list[Commit]
) -> Iterator[Published]:
    """Yield the partitions of feature views that read this one while one of `commits` was its state."""
    for view in catalog().feature_views.values():
        for source in view.sources:
            if source.dataset != table:
                continue
            declared = catalog().sources[table]
            if references.is_reference(view, declared):
                yield from _readers_of_version(logs, view, table, partition, commits)
                continue
            readers = set(availability.reading_partitions(view, source, declared, partition))
            for commit in logs[view.name]:
                built = readers & commit.partitions
                if built and logs.producing_commit(table, partition, at=commit.at) in commits:
                    yield from ((reader, commit) for reader in sorted(built))


def _readers_of_version(
    logs: CommitLogs, view: FeatureView, table: str, version: Partition, commits: list[Commit]
) -> Iterator[Published]:
    """Yield the partitions of a view that were built with a version that one of `commits` published."""
    for commit in logs[view.name]:
        for use in references.from_json(view, commit.references):
            if (use.dataset, use.version) != (table, version):
                continue
            # The build read this version of the table, whatever landed before its rows were published.
            if logs.producing_commit(table, version, version=use.table_version) in commits:
                yield from (
                    (reader, commit) for reader in sorted(commit.partitions.intersection(use.partitions))
                )
