"""Lineage both ways: what a model version was made of, and what was made of a partition."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import func, select

from include.catalog import catalog
from include.data.lake import commit_log
from include.data.lake.commit_log import Commit
from include.data.snapshots.snapshot import Snapshot
from include.database.tables import inference_log
from include.database.tables import snapshot as table
from include.errors import PartitionMissing, ReleaseError
from include.modeling.registry.idempotency import translate_mlflow_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.entities.model_registry import ModelVersion
    from sqlalchemy import Connection

    from include.data.lake.delta_tables import Lake
    from include.modeling.registry.registry import Registry

PREFIX = "airworthy.snapshot."
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class ModelLineage:
    """
    What a model version was made of.

    `partitions` has, for each table from the datasets to the features, its days and the commits they were of:
    of a day that was read at different times there may be two. `files` are those that were read.
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
    """A model version that learnt from a snapshot, and how many requests it has answered since."""

    use_case: str
    version: int
    snapshot: str
    requests: int


@dataclass(frozen=True, slots=True)
class PartitionLineage:
    """
    What was made of one day of a dataset, or of one version of that day.

    `commits` are those that made the day, oldest first; `features` the commits of feature views that read it;
    `predictions` the rows by table, day and model version.
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
    Return what a registered version was made of.

    A feature is of its sources as they stood when its day was built.

    :raises ReleaseError: if there is no such version, or it names no snapshot
    """
    registered = _registered(registry, use_case, version)
    tags = dict(registered.tags)
    snapshot = _snapshot_of(use_case, version, tags)
    view = catalog().feature_views[snapshot.feature_view]
    read = ((view.name, snapshot.feature_version), (snapshot.label_dataset, snapshot.label_version))
    days = _days(snapshot)
    partitions: dict[str, set[tuple[date, Commit]]] = {
        name: _makers(commit_log.list_commits(lake, name), days, at) for name, at in read
    }
    for source in view.sources:
        found, lag = (
            commit_log.list_commits(lake, source.dataset),
            catalog().datasets[source.dataset].lag_days,
        )
        partitions.setdefault(source.dataset, set()).update(
            (day, commit)
            for built, feature in partitions[view.name]
            for day in source.days_of(built, lag_days=lag)
            if (commit := commit_log.producing_commit(found, day, at=feature.at)) is not None
        )
    return ModelLineage(
        use_case=use_case,
        version=version,
        run_id=registered.run_id or "",
        code_version=tags.get("airworthy.code_version", ""),
        snapshot=snapshot,
        partitions={name: sorted(pairs, key=_by_day) for name, pairs in partitions.items()},
        files=[path for name, at in read for path in commit_log.list_files(lake, name, days, version=at)],
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
    Return what was made of a day of `dataset`, in whatever version, or of how the day was in `version`.

    :raises PartitionMissing: if the day was never published, or not by that version
    """
    logs = _Logs(lake)
    made = [commit for commit in logs[dataset] if day in commit.days]
    if version is not None:
        made = [commit for commit in [commit_log.producing_commit(made, day, version=version)] if commit]
    if not made:
        until = f" up to version {version}" if version is not None else ""
        raise PartitionMissing(
            f"{dataset}: {day} was never published{until} in the lake {lake.uri}. "
            f"Name another day, or run {dataset}_ingestion."
        )
    features = list(_features_of(logs, dataset, day, made))
    rows = [dict(row) for row in connection.execute(select(table).order_by(table.c.at)).mappings()]
    labels = [(day, commit) for commit in made]
    snapshots = [
        row
        for row in rows
        if _holds(row, logs, row["label_dataset"], row["label_version"], labels)
        or _holds(row, logs, row["feature_view"], row["feature_version"], features)
    ]
    models = [learner for row in snapshots for learner in _learners(connection, registry, row)]
    predictions = _predictions(lake, features, models)
    return PartitionLineage(dataset, day, made, features, snapshots, models, predictions)


class _Logs(dict[str, list[Commit]]):
    """The commits of each table, read once."""

    def __init__(self, lake: Lake) -> None:
        super().__init__()
        self._lake = lake

    def __missing__(self, name: str) -> list[Commit]:
        return self.setdefault(name, commit_log.list_commits(self._lake, name))


def _features_of(logs: _Logs, dataset: str, day: date, made: list[Commit]) -> Iterator[tuple[date, Commit]]:
    """Return the days of feature views that read `day` while it was of one of the commits `made`."""
    for view in catalog().feature_views.values():
        for source in (each for each in view.sources if each.dataset == dataset):
            readers = source.readers_of(day, lag_days=catalog().datasets[dataset].lag_days)
            for commit in logs[view.name]:
                if commit_log.producing_commit(logs[dataset], day, at=commit.at) in made:
                    yield from ((reader, commit) for reader in readers if reader in commit.days)


def _holds(
    row: dict[str, Any], logs: _Logs, name: str, version: int, pairs: list[tuple[date, Commit]]
) -> bool:
    """Return whether a snapshot read one of these days of a table as one of these commits left it."""
    return any(
        commit.table == name
        and row["first_day"] <= day <= row["last_day"]
        and day.isoformat() not in row["excluded_days"]
        and commit_log.producing_commit(logs[name], day, version=version) == commit
        for day, commit in pairs
    )


def _learners(connection: Connection, registry: Registry, row: dict[str, Any]) -> Iterator[TrainedVersion]:
    client = MlflowClient(tracking_uri=registry.uri, registry_uri=registry.uri)
    query = f"name = '{row['use_case']}' AND tags.`{PREFIX}digest` = '{row['digest']}'"
    with translate_mlflow_errors(registry.uri):
        found = list(client.search_model_versions(query))
    log = inference_log.c
    for one in sorted(found, key=lambda one: int(one.version)):
        named = (one.tags.get(f"{PREFIX}feature_version"), one.tags.get(f"{PREFIX}label_version"))
        if named != (str(row["feature_version"]), str(row["label_version"])):
            continue  # the same rows, from other versions of the tables
        answered = (log.use_case == one.name, log.version == int(one.version))
        requests = connection.scalar(select(func.count()).select_from(inference_log).where(*answered))
        yield TrainedVersion(one.name, int(one.version), row["digest"], requests or 0)


def _registered(registry: Registry, use_case: str, version: int) -> ModelVersion:
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


def _predictions(
    lake: Lake, features: list[tuple[date, Commit]], models: list[TrainedVersion]
) -> Counter[tuple[str, date, int]]:
    """Return how many rows were scored with these features, or by a model that learnt from them."""
    learnt = {(learner.use_case, learner.version) for learner in models}
    counted: Counter[tuple[str, date, int]] = Counter()
    for use_case in catalog().use_cases.values():
        scored = f"{use_case.name}_predictions"
        fed = {day.isoformat() for day, commit in features if commit.table == use_case.feature_view}
        if lake.version(scored) is None:
            continue
        rows = lake.read(scored, columns=["day", "version"])
        for (day, version), count in Counter(zip(rows["day"], rows["version"], strict=True)).items():
            if day in fed or (use_case.name, version) in learnt:
                counted[scored, date.fromisoformat(day), int(version)] = count
    return counted


def _makers(found: list[Commit], days: list[date], version: int) -> set[tuple[date, Commit]]:
    makers = ((day, commit_log.producing_commit(found, day, version=version)) for day in days)
    return {(day, commit) for day, commit in makers if commit is not None}


def _days(snapshot: Snapshot) -> list[date]:
    first, last = (date.fromisoformat(day) for day in snapshot.days)
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return [day for day in days if day.isoformat() not in snapshot.excluded_days]


def _by_day(pair: tuple[date, Commit]) -> tuple[date, int]:
    return pair[0], pair[1].version


def _snapshot_of(use_case: str, version: int, tags: dict[str, str]) -> Snapshot:
    values = {name.removeprefix(PREFIX): value for name, value in tags.items() if name.startswith(PREFIX)}
    if "digest" not in values:
        raise ReleaseError(
            f"{use_case} version {version} names no snapshot: it was not registered by this project. "
            "Look at its MLflow run."
        )
    first, last = _DAY.findall(values["days"])
    share = values.get("completeness", "None")
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
        completeness=None if share == "None" else float(share),
        excluded_days=tuple(_DAY.findall(values.get("excluded_days", ""))),
    )
