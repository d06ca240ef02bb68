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
    is_reference = references.is_reference(view, declared)
    # Partitions of one commit read the same states, and their lookbacks overlap.
    read_by: dict[Commit, set[Partition]] = defaultdict(set)
    for built, feature_commit in features:
        if is_reference:
            read_by[feature_commit].update(_reference_versions(view, source, feature_commit, built))
        else:
            read_by[feature_commit].update(availability.source_partitions(view, source, declared, built))
    for feature_commit, partitions in read_by.items():
        for partition in sorted(partitions):
            commit = logs.producing_commit(source.dataset, partition, at=feature_commit.at)
            if commit is not None:
                yield partition, commit


def _reading_features(
    logs: CommitLogs, table: str, partition: Partition, commits: list[Commit]
) -> Iterator[Published]:
    """Yield the partitions of feature views that read this one while one of `commits` was its state."""
    for view in catalog().feature_views.values():
        for source in view.sources:
            if source.dataset != table:
                continue
            declared = catalog().sources[table]
            is_reference = references.is_reference(view, declared)
            readers: set[Partition] = set()
            if not is_reference:
                readers.update(availability.reading_partitions(view, source, declared, partition))
            for commit in logs[view.name]:
                if is_reference:
                    readers = {
                        reader
                        for reader in commit.partitions
                        if partition in _reference_versions(view, source, commit, reader)
                    }
                built = readers & commit.partitions
                if built and logs.producing_commit(table, partition, at=commit.at) in commits:
                    yield from ((reader, commit) for reader in sorted(built))


def _reference_versions(
    view: FeatureView, source: ViewSource, commit: Commit, built: Partition
) -> list[Partition]:
    """Return the versions of a reference table that a partition of the view was built with in a commit."""
    return [
        use.version
        for use in references.from_json(view, commit.references)
        if use.dataset == source.dataset and built in use.partitions
    ]
