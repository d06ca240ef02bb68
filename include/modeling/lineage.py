"""Lineage of model versions back to their partitions, and of partitions forward to models and predictions."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import func, select

from include.catalog import catalog
from include.data.features.lineage import CommitLogs, read_dependents, read_inputs
from include.data.lake import commit_log
from include.data.lake.partition_columns import DAY
from include.data.snapshots.snapshot import Snapshot
from include.database.tables import inference_log
from include.database.tables import snapshot as table
from include.errors import PartitionMissing, ReleaseError
from include.inference.predictions import VERSION
from include.modeling.registry.idempotency import translate_mlflow_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.entities.model_registry import ModelVersion
    from sqlalchemy import Connection

    from include.data.lake.commit_log import Commit
    from include.data.lake.delta_tables import Lake
    from include.modeling.registry.registry import Registry

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
        For each table, from the datasets to the features: days and the commits that they were read from. A
        day that was read at different times may have two.
    files
        Files of the feature views and the label dataset that were read.
    """

    use_case: str
    version: int
    run_id: str
    code_version: str
    snapshot: Snapshot
    partitions: dict[str, list[tuple[date, Commit]]]
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
    Products of one day of a dataset, or of one version of that day.

    Parameters
    ----------
    dataset, day
        The day of the dataset.
    commits
        Commits that produced the day, oldest first.
    features
        Days of feature views that read it, and their commits.
    snapshots
        Rows of the table of snapshots that contain it.
    models
        Model versions that were trained on these snapshots.
    predictions
        Numbers of rows by table, day and model version.
    """

    dataset: str
    day: date
    commits: list[Commit]
    features: list[tuple[date, Commit]]
    snapshots: list[dict[str, Any]]
    models: list[TrainedVersion]
    predictions: Counter[tuple[str, date, int]]


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
    partitions: dict[str, set[tuple[date, Commit]]] = {}
    files: list[str] = []
    for name, table_version in snapshot.versions.items():
        partitions[name] = _producing_commits(logs[name], days, table_version)
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
        partitions={name: sorted(pairs, key=_day_and_version) for name, pairs in partitions.items()},
        files=files,
    )


def partition_lineage(
    connection: Connection,
    registry: Registry,
    lake: Lake,
    dataset: str,
    day: date,
    *,
    version: int | None = None,
) -> PartitionLineage:
    """
    Return the products of a day of `dataset`.

    Parameters
    ----------
    version
        Version of the table whose state of the day is followed; None follows all states.

    Raises
    ------
    PartitionMissing
        If the day was never published, or not up to that version.
    """
    logs = CommitLogs(lake)
    commits = [commit for commit in logs[dataset] if day in commit.days]
    if version is not None:
        producing = commit_log.producing_commit(commits, day, version=version)
        commits = [producing] if producing else []
    if not commits:
        until = f" up to version {version}" if version is not None else ""
        raise PartitionMissing(
            f"{dataset}: {day} was never published{until} in the lake {lake.uri}. "
            f"Name another day, or run {dataset}_ingestion."
        )
    features = read_dependents(logs, dataset, day, commits)
    labels = [(day, commit) for commit in commits]
    rows = [dict(row) for row in connection.execute(select(table).order_by(table.c.at)).mappings()]
    snapshots = [row for row in rows if _snapshot_reads(row, logs, labels, features)]
    models: list[TrainedVersion] = []
    for row in snapshots:
        models.extend(_trained_versions(connection, registry, row))
    predictions = _count_predictions(lake, features, models)
    return PartitionLineage(dataset, day, commits, features, snapshots, models, predictions)


def _snapshot_reads(
    row: dict[str, Any],
    logs: CommitLogs,
    labels: list[tuple[date, Commit]],
    features: list[tuple[date, Commit]],
) -> bool:
    """Return whether a snapshot read one of these days of its label's dataset or of its feature views."""
    if _contains(row, logs, row["label_dataset"], row["label_version"], labels):
        return True
    views = {row["feature_view"]: row["feature_version"], **row["joined_versions"]}
    return any(_contains(row, logs, name, version, features) for name, version in views.items())


def _contains(
    row: dict[str, Any], logs: CommitLogs, name: str, version: int, pairs: list[tuple[date, Commit]]
) -> bool:
    """Return whether a snapshot read one of these days of a table in the state of its commit."""
    return any(
        commit.table == name
        and row["first_day"] <= day <= row["last_day"]
        and day.isoformat() not in row["excluded_days"]
        and commit_log.producing_commit(logs[name], day, version=version) == commit
        for day, commit in pairs
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
    lake: Lake, features: list[tuple[date, Commit]], models: list[TrainedVersion]
) -> Counter[tuple[str, date, int]]:
    """Count the rows that were scored with these features, or by these models."""
    trained = {(model.use_case, model.version) for model in models}
    counts: Counter[tuple[str, date, int]] = Counter()
    for use_case in catalog().use_cases.values():
        predictions = f"{use_case.name}_predictions"
        if lake.version(predictions) is None:
            continue
        views = use_case.feature_views
        feature_days = {day.isoformat() for day, commit in features if commit.table in views}
        rows = lake.read(predictions, columns=[DAY, VERSION])
        for (day, version), count in Counter(zip(rows[DAY], rows[VERSION], strict=True)).items():
            if day in feature_days or (use_case.name, version) in trained:
                counts[predictions, date.fromisoformat(day), int(version)] = count
    return counts


def _producing_commits(commits: list[Commit], days: list[date], version: int) -> set[tuple[date, Commit]]:
    pairs = ((day, commit_log.producing_commit(commits, day, version=version)) for day in days)
    return {(day, commit) for day, commit in pairs if commit is not None}


def _day_and_version(pair: tuple[date, Commit]) -> tuple[date, int]:
    return pair[0], pair[1].version


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
