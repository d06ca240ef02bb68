"""Lineage of model versions back to their partitions, and of partitions forward to models and predictions."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import func, select

from include.catalog import catalog
from include.data.features.availability import partition_names
from include.data.features.lineage import CommitLogs, read_dependents, read_inputs
from include.data.lake import commit_log
from include.data.lake.partition_columns import DAY, HOUR, parse_partition_name
from include.data.snapshots.snapshot import Snapshot
from include.database.tables import inference_log
from include.database.tables import snapshot as table
from include.errors import PartitionMissing, ReleaseError
from include.inference.predictions import VERSION
from include.modeling.registry.idempotency import translate_mlflow_errors
from include.partitions import day_of, format_partition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.entities.model_registry import ModelVersion
    from sqlalchemy import Connection

    from include.data.features.lineage import Published
    from include.data.lake.commit_log import Commit
    from include.data.lake.delta_tables import Lake
    from include.modeling.registry.registry import Registry
    from include.partitions import Partition

PREFIX = "airworthy.snapshot."
JOINED_PREFIX = "joined_versions."
DAY_PATTERN = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class ModelLineage:
    """
    Inputs of a model version.

    Parameters
    ----------
    use_case, version, run_id, code_version
        The version, its MLflow run and its code.
    snapshot
        Snapshot that it was trained on.
    partitions
        For each table, from the datasets to the features: hours or days, and the commits that they were read
        from, with the code that made them. A partition that was read at different times may have two.
    files
        Files of the feature views and the label dataset that were read.
    """

    use_case: str
    version: int
    run_id: str
    code_version: str
    snapshot: Snapshot
    partitions: dict[str, list[Published]]
    files: list[str]


@dataclass(frozen=True, slots=True)
class TrainedVersion:
    """A model version that was trained on a snapshot, and the number of requests that it has answered."""

    use_case: str
    version: int
    snapshot: str
    requests: int


@dataclass(frozen=True, slots=True)
class PartitionLineage:
    """
    Products of one day or hour of a dataset, or of one version of it.

    Parameters
    ----------
    dataset, day
        The day or hour of the dataset.
    commits
        Commits that produced it, or hours of it, oldest first.
    features
        Partitions of feature views that read it, and their commits.
    snapshots
        Rows of the table of snapshots that contain it.
    models
        Model versions that were trained on these snapshots.
    predictions
        Numbers of rows by table, partition and model version.
    """

    dataset: str
    day: Partition
    commits: list[Commit]
    features: list[Published]
    snapshots: list[dict[str, Any]]
    models: list[TrainedVersion]
    predictions: Counter[tuple[str, Partition, int]]


def model_lineage(registry: Registry, lake: Lake, use_case: str, version: int) -> ModelLineage:
    """
    Return the inputs of a registered version; features were built from their sources as of their commit.

    Raises
    ------
    ReleaseError
        If the version does not exist, or names no snapshot.
    """
    model_version = _model_version(registry, use_case, version)
    tags = dict(model_version.tags)
    snapshot = _snapshot_of_tags(use_case, version, tags)
    logs = CommitLogs(lake)
    days = snapshot.calendar_days()
    partitions: dict[str, set[Published]] = {}
    files: list[str] = []
    for name, table_version in snapshot.versions.items():
        partitions[name] = _producing_commits(logs, name, days, table_version)
        files.extend(commit_log.list_files(lake, name, days, version=table_version))
    for view in (snapshot.feature_view, *snapshot.joined_versions):
        for table_read, pairs in read_inputs(logs, view, partitions[view]).items():
            partitions.setdefault(table_read, set()).update(pairs)
    return ModelLineage(
        use_case=use_case,
        version=version,
        run_id=model_version.run_id or "",
        code_version=tags.get("airworthy.code_version", ""),
        snapshot=snapshot,
        partitions={name: sorted(pairs, key=_partition_and_version) for name, pairs in partitions.items()},
        files=files,
    )


def partition_lineage(
    connection: Connection,
    registry: Registry,
    lake: Lake,
    dataset: str,
    day: Partition,
    *,
    version: int | None = None,
) -> PartitionLineage:
    """
    Return the products of a day or an hour of `dataset`.

    Parameters
    ----------
    day
        A day, of hourly data all of its hours, or one hour.
    version
        Version of the table whose state of the day is followed; None follows all states.

    Raises
    ------
    PartitionMissing
        If the day was never published, or not up to that version.
    """
    logs = CommitLogs(lake)
    published = _states(logs, dataset, day, version)
    if not published:
        until = f" up to version {version}" if version is not None else ""
        raise PartitionMissing(
            f"{dataset}: {format_partition(day)} was never published{until} in the lake {lake.uri}. "
            f"Name another day, or run {dataset}_ingestion."
        )
    labels: list[Published] = []
    dependents: dict[Published, None] = {}
    for partition, states in published.items():
        labels += [(partition, commit) for commit in states]
        dependents |= dict.fromkeys(read_dependents(logs, dataset, partition, states))
    commits = sorted({commit for _, commit in labels}, key=lambda commit: commit.version)
    features = list(dependents)
    rows = [dict(row) for row in connection.execute(select(table).order_by(table.c.at)).mappings()]
    snapshots = [row for row in rows if _snapshot_reads(row, logs, labels, features)]
    models: list[TrainedVersion] = []
    for row in snapshots:
        models.extend(_trained_versions(connection, registry, row))
    predictions = _count_predictions(lake, features, models)
    return PartitionLineage(dataset, day, commits, features, snapshots, models, predictions)


def _states(
    logs: CommitLogs, dataset: str, day: Partition, version: int | None
) -> dict[Partition, list[Commit]]:
    """Return the commits of each partition of a day, or of an hour: all, or the one of a version."""
    partitions = [day] if isinstance(day, datetime) else logs.partitions_of(dataset, [day])
    published: dict[Partition, list[Commit]] = {}
    for partition in partitions:
        if version is None:
            commits = [commit for commit in logs[dataset] if partition in commit.partitions]
        else:
            producing = logs.producing_commit(dataset, partition, version=version)
            commits = [] if producing is None else [producing]
        if commits:
            published[partition] = commits
    return published


def _snapshot_reads(
    row: dict[str, Any], logs: CommitLogs, labels: list[Published], features: list[Published]
) -> bool:
    """Return whether a snapshot read one of these partitions of its label's dataset or of its views."""
    if _contains(row, logs, row["label_dataset"], row["label_version"], labels):
        return True
    views = {row["feature_view"]: row["feature_version"], **row["joined_versions"]}
    return any(_contains(row, logs, name, version, features) for name, version in views.items())


def _contains(row: dict[str, Any], logs: CommitLogs, name: str, version: int, pairs: list[Published]) -> bool:
    """Return whether a snapshot read one of these partitions of a table in the state of its commit."""
    return any(
        commit.table == name
        and row["first_day"] <= day_of(partition) <= row["last_day"]
        and day_of(partition).isoformat() not in row["excluded_days"]
        and logs.producing_commit(name, partition, version=version) == commit
        for partition, commit in pairs
    )


def _trained_versions(
    connection: Connection, registry: Registry, row: dict[str, Any]
) -> Iterator[TrainedVersion]:
    client = MlflowClient(tracking_uri=registry.uri, registry_uri=registry.uri)
    query = f"name = '{row['use_case']}' AND tags.`{PREFIX}digest` = '{row['digest']}'"
    with translate_mlflow_errors(registry.uri):
        versions = list(client.search_model_versions(query))
    columns = inference_log.c
    for version in sorted(versions, key=lambda version: int(version.version)):
        table_versions = (
            version.tags.get(f"{PREFIX}feature_version"),
            version.tags.get(f"{PREFIX}label_version"),
        )
        # Other versions of the tables may have the same rows.
        if table_versions != (str(row["feature_version"]), str(row["label_version"])):
            continue
        is_answered = (columns.use_case == version.name, columns.version == int(version.version))
        n_requests = connection.scalar(select(func.count()).select_from(inference_log).where(*is_answered))
        yield TrainedVersion(version.name, int(version.version), row["digest"], n_requests or 0)


def _model_version(registry: Registry, use_case: str, version: int) -> ModelVersion:
    client = MlflowClient(tracking_uri=registry.uri, registry_uri=registry.uri)
    try:
        with translate_mlflow_errors(registry.uri):
            return client.get_model_version(use_case, str(version))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise ReleaseError(
            f"{use_case} has no version {version} in MLflow at {registry.uri}. See its versions there."
        ) from error


def _count_predictions(
    lake: Lake, features: list[Published], models: list[TrainedVersion]
) -> Counter[tuple[str, Partition, int]]:
    """Count the rows that were scored with these features, or by these models."""
    trained = {(model.use_case, model.version) for model in models}
    counts: Counter[tuple[str, Partition, int]] = Counter()
    for use_case in catalog().use_cases.values():
        predictions = f"{use_case.name}_predictions"
        if lake.version(predictions) is None:
            continue
        views = use_case.feature_views
        read = {partition for partition, commit in features if commit.table in views}
        # Hourly features may be scored by the day, and daily ones by the hour.
        read |= {day_of(partition) for partition in read}
        for (partition, version), count in _scored_rows(lake, predictions).items():
            if not read.isdisjoint({partition, day_of(partition)}) or (use_case.name, version) in trained:
                counts[predictions, partition, version] = count
    return counts


def _scored_rows(lake: Lake, table: str) -> Counter[tuple[Partition, int]]:
    """Return how many rows of each partition each version has scored."""
    is_hourly = any(isinstance(partition, datetime) for partition in lake.partitions(table))
    columns = [DAY, HOUR] if is_hourly else [DAY]
    rows = lake.read(table, columns=[*columns, VERSION])
    names = partition_names(rows, "hour" if is_hourly else "day")
    counts: Counter[tuple[Partition, int]] = Counter()
    for (name, version), count in Counter(zip(names, rows[VERSION], strict=True)).items():
        counts[parse_partition_name(name), int(version)] = count
    return counts


def _producing_commits(logs: CommitLogs, name: str, days: list[date], version: int) -> set[Published]:
    pairs = (
        (partition, logs.producing_commit(name, partition, version=version))
        for partition in logs.partitions_of(name, days)
    )
    return {(partition, commit) for partition, commit in pairs if commit is not None}


def _partition_and_version(pair: Published) -> tuple[str, int]:
    return format_partition(pair[0]), pair[1].version


def _snapshot_of_tags(use_case: str, version: int, tags: dict[str, str]) -> Snapshot:
    values = {name.removeprefix(PREFIX): value for name, value in tags.items() if name.startswith(PREFIX)}
    if "digest" not in values:
        raise ReleaseError(
            f"{use_case} version {version} names no snapshot: it was not registered by this project. "
            "Check its MLflow run."
        )
    first, last = DAY_PATTERN.findall(values["days"])
    completeness = values.get("completeness", "None")
    return Snapshot(
        use_case=use_case,
        as_of=date.fromisoformat(values["as_of"]),
        feature_view=values["feature_view"],
        feature_version=int(values["feature_version"]),
        label_dataset=values["label_dataset"],
        label_version=int(values["label_version"]),
        days=(first, last),
        rows=int(values["rows"]),
        digest=values["digest"],
        completeness=None if completeness == "None" else float(completeness),
        excluded_days=tuple(DAY_PATTERN.findall(values.get("excluded_days", ""))),
        joined_versions={
            name.removeprefix(JOINED_PREFIX): int(value)
            for name, value in values.items()
            if name.startswith(JOINED_PREFIX)
        },
    )
