"""Experiments and runs in MLflow: one run for each thing that was run, found again by whoever tries again."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

from include.database.locks import advisory_lock
from include.errors import RunDeleted, SettingsError
from include.modeling.registry import artifacts
from include.modeling.registry.idempotency import (
    get_or_create,
    permanent_errors,
    post,
    translate_mlflow_errors,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from mlflow.entities import Run
    from sqlalchemy import Engine

IDENTITY = ("airworthy.dag", "airworthy.run", "airworthy.partition")
CLEARED = "airworthy.clear_number"
KEY, PARENT = "airworthy.key", "mlflow.parentRunId"
SUPERSEDES, SUPERSEDED_BY = "airworthy.supersedes", "airworthy.superseded_by"
REPLACES = "airworthy.replaces_deleted"

log = logging.getLogger(__name__)


class Tracking:
    """
    MLflow at `uri`, with creates that happen once.

    `engine` reaches the airworthy database, whose advisory locks keep two attempts that run side by side
    from creating at the same moment; without it only one process may create.
    """

    def __init__(self, uri: str, engine: Engine | None = None) -> None:
        self.uri = uri
        self._engine = engine

    @cached_property
    def _client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def lock(self, subject: str) -> AbstractContextManager[None]:
        """Return a lock on `subject` that one process holds at a time."""
        return advisory_lock(self._engine, f"registry/{subject}")

    def experiment(self, name: str, tags: Mapping[str, str] | None = None) -> str:
        """
        Return the id of the experiment `name`, made where it is not there; it carries `tags`.

        :raises SettingsError: if somebody deleted it
        """
        with translate_mlflow_errors(self.uri):
            found = self._client.get_experiment_by_name(name)
            if found is None:
                try:
                    self._client.create_experiment(name)
                except MlflowException as error:
                    if error.error_code != "RESOURCE_ALREADY_EXISTS":
                        raise
                found = self._client.get_experiment_by_name(name)
            if found.lifecycle_stage == "deleted":
                raise SettingsError(
                    f"The MLflow experiment {name} was deleted. Restore it: "
                    f"mlflow experiments restore --experiment-id {found.experiment_id}"
                )
            for tag, value in (tags or {}).items():
                if found.tags.get(tag) != value:
                    self._client.set_experiment_tag(found.experiment_id, tag, value)
        return str(found.experiment_id)

    def run_for(self, use_case: str, tags: Mapping[str, str]) -> str:
        """
        Return the id of the one MLflow run of a DAG run, in the experiment named after the use case.

        `airworthy.dag`, `airworthy.run` and `airworthy.partition` in `tags` say which; other tags are
        written beside them, anew by each attempt. A run that was cleared, as `airworthy.clear_number` says,
        has a new one that supersedes the old.

        :raises SettingsError: if a tag is missing
        """
        missing = [name for name in IDENTITY if name not in tags]
        if missing:
            raise SettingsError(f"{use_case}: a run is found by its tags; give {', '.join(missing)} too.")
        identity = json.dumps([use_case, *(tags[name] for name in IDENTITY)])
        name = f"{tags['airworthy.dag']} {tags['airworthy.run']}"
        return self.run(use_case, identity, name, tags, clears=int(tags.get(CLEARED, "0")))

    def run(
        self, experiment: str, identity: str, name: str, tags: Mapping[str, str], *, clears: int = 0
    ) -> str:
        """
        Return the id of the one run of `identity` in an experiment, made where there is none.

        Cleared so many times, it is a new run that supersedes the ones before; they say so too, and end.
        One that somebody deleted is made anew, and names it.
        """
        origin = hashlib.sha256(identity.encode()).hexdigest()
        key = f"{origin}/{clears}" if clears else origin
        place = self.experiment(experiment)
        created = False

        def find() -> str | None:
            query = f"tags.`{KEY}` = '{key}'"
            runs = self._client.search_runs([place], query, max_results=1, order_by=["start_time ASC"])
            return runs[0].info.run_id if runs else None

        def create() -> None:
            nonlocal created
            about = {**tags, KEY: key, **_succession(self._earlier(place, origin), key)}
            pairs = [{"key": tag, "value": value} for tag, value in about.items()]
            body = {"experiment_id": place, "run_name": name, "start_time": _now(), "tags": pairs}
            post(self.uri, "runs/create", body)
            created = True

        with translate_mlflow_errors(self.uri), self.lock(f"run/{origin}"):
            run_id = get_or_create(find, create, f"the run {name}")
            if tags and not created:
                self.log(run_id, tags=tags)
            if clears:
                self._supersede(run_id, place, origin, key)
        return run_id

    def _earlier(self, place: str, origin: str) -> list[Run]:
        """Return the runs of one origin that there ever were, newest first."""
        query, order = f"tags.`{KEY}` LIKE '{origin}%'", ["start_time DESC"]
        return list(self._client.search_runs([place], query, ViewType.ALL, order_by=order))

    def _supersede(self, run_id: str, place: str, origin: str, key: str) -> None:
        for run in self._earlier(place, origin):
            if not _precedes(run, key) or SUPERSEDED_BY in run.data.tags:
                continue
            log.warning("The MLflow run %s was cleared: %s supersedes it.", run.info.run_id, run_id)
            self._client.set_tag(run.info.run_id, SUPERSEDED_BY, run_id)
            if run.info.status == "RUNNING":
                self._client.set_terminated(run.info.run_id, "KILLED")

    def log(
        self,
        run_id: str,
        *,
        params: Mapping[str, object] | None = None,
        metrics: Mapping[str, float] | None = None,
        series: Mapping[str, Mapping[int, float]] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """
        Write everything in one call, of a series one value a step.

        A parameter that is there already must have the same value.

        :raises SettingsError: if an earlier attempt logged other parameters
        :raises RunDeleted: if somebody deleted the run
        """
        at = _now()
        steps = {name: {0: value} for name, value in (metrics or {}).items()} | dict(series or {})
        points = [
            Metric(name, value, at, step) for name, each in steps.items() for step, value in each.items()
        ]
        try:
            with self._using(run_id):
                self._client.log_batch(
                    run_id,
                    metrics=points,
                    params=[Param(name, str(value)[:6000]) for name, value in (params or {}).items()],
                    tags=[RunTag(name, value) for name, value in (tags or {}).items()],
                )
        except MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE":
                raise
            raise SettingsError(
                f"The MLflow run {run_id} has other parameters: {error}. Code or declaration have changed "
                "since: clear the task that trains, or trigger a new DAG run."
            ) from error

    def log_file(self, run_id: str, path: Path) -> None:
        """Keep a file with the run, under its name."""
        with self._using(run_id):
            self._client.log_artifact(run_id, str(path))

    def file(self, run_id: str, name: str, folder: Path) -> Path | None:
        """Fetch the file `name` of a run into `folder`; None if the run or the file is not there."""
        with translate_mlflow_errors(self.uri):
            try:
                kept = self._client.list_artifacts(run_id, str(Path(name).parent).strip("."))
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return None
                raise
            if name not in {file.path for file in kept}:  # asked for in vain, S3 is asked for minutes
                return None
            return Path(self._client.download_artifacts(run_id, name, str(folder)))

    def files_of(self, run_id: str, folder: Path) -> Path:
        """Fetch every file of a run into `folder`, which appears complete or not at all."""
        with translate_mlflow_errors(self.uri):
            return artifacts.fetch_artifacts(self.uri, self._client.get_run(run_id).info.artifact_uri, folder)

    def page_of(self, run_id: str) -> str:
        """Return the route of a run's page in MLflow's UI."""
        with translate_mlflow_errors(self.uri):
            experiment = self._client.get_run(run_id).info.experiment_id
        return f"experiments/{experiment}/runs/{run_id}"

    def finish(self, run_id: str, status: str = "FINISHED") -> None:
        """End the run as FINISHED, FAILED or KILLED."""
        with self._using(run_id):
            self._client.set_terminated(run_id, status)

    def runs(self, experiment: str, query: str = "", *, newest: int = 1_000) -> list[Run]:
        """Return the newest runs of an experiment that MLflow's filter finds; none without the experiment."""
        with translate_mlflow_errors(self.uri), permanent_errors(f"the search for runs by {query!r}"):
            found = self._client.get_experiment_by_name(experiment)
            if found is None:
                return []
            order = ["start_time DESC"]
            return list(
                self._client.search_runs([found.experiment_id], query, max_results=newest, order_by=order)
            )

    def _active(self, run_id: str) -> Run:
        with self._using(run_id):
            run = self._client.get_run(run_id)
        if run.info.lifecycle_stage == "deleted":
            raise _deleted(run_id)
        return run

    @contextmanager
    def _using(self, run_id: str) -> Iterator[None]:
        try:
            with translate_mlflow_errors(self.uri):
                yield
        except MlflowException as error:
            gone = error.error_code == "RESOURCE_DOES_NOT_EXIST"
            if not gone and "must be in the 'active' state" not in str(error):
                raise
            raise _deleted(run_id) from error


def _succession(earlier: list[Run], key: str) -> dict[str, str]:
    """Return what a run with this key says of the one before it; `earlier` has the newest first."""
    for run in earlier:
        if _clears(run.data.tags[KEY]) > _clears(key):  # an attempt that was late
            continue
        if run.info.lifecycle_stage == "deleted":
            log.warning("The MLflow run %s was deleted: it is made anew.", run.info.run_id)
            return {REPLACES: run.info.run_id}
        return {SUPERSEDES: run.info.run_id}
    return {}


def _precedes(run: Run, key: str) -> bool:
    return run.info.lifecycle_stage != "deleted" and _clears(run.data.tags[KEY]) < _clears(key)


def _clears(key: str) -> int:
    return int(key.partition("/")[2] or 0)


def _deleted(run_id: str) -> RunDeleted:
    return RunDeleted(
        f"The MLflow run {run_id} was deleted, and this task needs it. Restore it (mlflow runs restore "
        f"--run-id {run_id}) and clear this task; or clear the task that made it, for a new one."
    )


def _now() -> int:
    return int(time.time() * 1000)
