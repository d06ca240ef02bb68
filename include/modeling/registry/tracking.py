"""Experiments and runs in MLflow: each is created once, and found again by later attempts."""

from __future__ import annotations

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
from include.errors import ConflictError, RunDeleted, SettingsError
from include.modeling.registry.artifacts import fetch_artifacts, read_artifact
from include.modeling.registry.idempotency import (
    get_or_create,
    permanent_errors,
    post_run,
    translate_mlflow_errors,
)
from include.modeling.registry.run_keys import (
    KEY,
    SUPERSEDED_BY,
    is_superseded,
    key_after_clears,
    predecessor_tags,
    run_origin,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from mlflow.entities import Run
    from sqlalchemy import Engine

# Tags that identify the DAG run of an MLflow run.
IDENTITY = ("airworthy.dag", "airworthy.run", "airworthy.partition")
CLEARED = "airworthy.clear_number"
PARENT = "mlflow.parentRunId"
# MLflow's limit.
MAX_PARAMETER_LENGTH = 6_000
MAX_RUNS = 1_000

log = logging.getLogger(__name__)


class Tracking:
    """
    Experiments and runs of an MLflow server.

    Parameters
    ----------
    uri
        Address of MLflow.
    engine
        Airworthy database, whose advisory locks prevent that concurrent attempts create the same object.
        Without it, only one process at a time may create objects.
    """

    def __init__(self, uri: str, engine: Engine | None = None) -> None:
        self.uri = uri
        self._engine = engine

    @cached_property
    def _client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def lock(self, subject: str) -> AbstractContextManager[None]:
        """Return an exclusive lock on `subject` across processes."""
        return advisory_lock(self._engine, f"registry/{subject}")

    def ensure_experiment(self, name: str, tags: Mapping[str, str] | None = None) -> str:
        """
        Return the id of the experiment `name`; it is created if necessary, and `tags` are set.

        Raises
        ------
        SettingsError
            If the experiment was deleted.
        """
        with translate_mlflow_errors(self.uri):
            experiment = self._client.get_experiment_by_name(name)
            if experiment is None:
                try:
                    self._client.create_experiment(name)
                except MlflowException as error:
                    if error.error_code != "RESOURCE_ALREADY_EXISTS":
                        raise
                experiment = self._client.get_experiment_by_name(name)
            if experiment.lifecycle_stage == "deleted":
                raise SettingsError(
                    f"The MLflow experiment {name} was deleted. Restore it: "
                    f"mlflow experiments restore --experiment-id {experiment.experiment_id}"
                )
            for tag, value in (tags or {}).items():
                if experiment.tags.get(tag) != value:
                    self._client.set_experiment_tag(experiment.experiment_id, tag, value)
        return str(experiment.experiment_id)

    def run_for(self, use_case: str, tags: Mapping[str, str]) -> str:
        """
        Return the id of the MLflow run of a DAG run, in the experiment of the use case.

        The run is created if necessary. If the DAG run was cleared, a new MLflow run supersedes the earlier
        one.

        Parameters
        ----------
        use_case
            Name of the experiment.
        tags
            Tags of the run, set again by each attempt. `airworthy.dag`, `airworthy.run` and
            `airworthy.partition` identify the DAG run; `airworthy.clear_number` says how often it was
            cleared.

        Raises
        ------
        SettingsError
            If an identifying tag is missing.
        """
        missing = [name for name in IDENTITY if name not in tags]
        if missing:
            raise SettingsError(
                f"{use_case}: an MLflow run is identified by its tags; add the tags {', '.join(missing)}."
            )
        identity = json.dumps([use_case, *(tags[name] for name in IDENTITY)])
        name = f"{tags['airworthy.dag']} {tags['airworthy.run']}"
        return self.ensure_run(use_case, identity, name, tags, clears=int(tags.get(CLEARED, "0")))

    def ensure_run(
        self, experiment: str, identity: str, name: str, tags: Mapping[str, str], *, clears: int = 0
    ) -> str:
        """
        Return the id of the run with this identity; it is created if necessary.

        A run that was deleted is replaced by a new one, which names it in a tag.

        Parameters
        ----------
        experiment
            Name of the experiment.
        identity
            Text that is the same for all attempts at this run.
        name
            Name that MLflow shows.
        tags
            Tags to set.
        clears
            How often the task was cleared. Each time, a new run supersedes the earlier ones, which are tagged
            and ended.
        """
        origin = run_origin(identity)
        key = key_after_clears(origin, clears)
        experiment_id = self.ensure_experiment(experiment)
        created = False

        def find() -> str | None:
            query = f"tags.`{KEY}` = '{key}'"
            runs = self._client.search_runs(
                [experiment_id], query, max_results=1, order_by=["start_time ASC"]
            )
            return runs[0].info.run_id if runs else None

        def create() -> None:
            nonlocal created
            predecessor = predecessor_tags(self._runs_of_origin(experiment_id, origin), key)
            post_run(self.uri, experiment_id, name, {**tags, KEY: key, **predecessor})
            created = True

        with translate_mlflow_errors(self.uri), self.lock(f"run/{origin}"):
            run_id = get_or_create(find, create, f"the run {name}")
            if tags and not created:
                self.log(run_id, tags=tags)
            if clears:
                self._supersede(run_id, experiment_id, origin, key)
        return run_id

    def _runs_of_origin(self, experiment_id: str, origin: str) -> list[Run]:
        """Return all runs with the same identity, deleted ones too, newest first."""
        query = f"tags.`{KEY}` LIKE '{origin}%'"
        return list(
            self._client.search_runs([experiment_id], query, ViewType.ALL, order_by=["start_time DESC"])
        )

    def _supersede(self, run_id: str, experiment_id: str, origin: str, key: str) -> None:
        for run in self._runs_of_origin(experiment_id, origin):
            if not is_superseded(run, key):
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
        Log parameters, metrics and tags of a run in one request.

        Parameters
        ----------
        run_id
            Run to log to.
        params
            Parameters; one that is already logged must have the same value.
        metrics
            Values by metric, logged at step 0.
        series
            Values by metric and step.
        tags
            Tags to set.

        Raises
        ------
        ConflictError
            If an earlier attempt logged other parameters.
        RunDeleted
            If the run was deleted.
        """
        try:
            with self._translate_deleted_run(run_id):
                self._client.log_batch(
                    run_id,
                    metrics=_metric_points(metrics or {}, series or {}),
                    params=[
                        Param(name, str(value)[:MAX_PARAMETER_LENGTH])
                        for name, value in (params or {}).items()
                    ],
                    tags=[RunTag(name, value) for name, value in (tags or {}).items()],
                )
        except MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE":
                raise
            raise ConflictError(
                f"The MLflow run {run_id} has other parameters: {error}. Code or declaration have changed "
                "since: clear the task that trains, or trigger a new DAG run."
            ) from error

    def log_file(self, run_id: str, path: Path) -> None:
        """Upload a file to the artifacts of a run, under its name."""
        with self._translate_deleted_run(run_id):
            self._client.log_artifact(run_id, str(path))

    def read_file(self, run_id: str, name: str) -> bytes | None:
        """Return the content of the file `name` of a run; None if run or file does not exist."""
        with translate_mlflow_errors(self.uri):
            try:
                files = self._client.list_artifacts(run_id, str(Path(name).parent).strip("."))
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return None
                raise
            # Checked first, because a download of a missing file from S3 is retried for minutes.
            if name not in {file.path for file in files}:
                return None
            return read_artifact(self._client, run_id, name)

    def fetch_files(self, run_id: str, folder: Path) -> Path:
        """Download all files of a run to `folder`, which is replaced only after a complete download."""
        with translate_mlflow_errors(self.uri):
            return fetch_artifacts(self.uri, self._client.get_run(run_id).info.artifact_uri, folder)

    def run_route(self, run_id: str) -> str:
        """Return the path of the run's page in MLflow's UI."""
        with translate_mlflow_errors(self.uri):
            experiment_id = self._client.get_run(run_id).info.experiment_id
        return f"experiments/{experiment_id}/runs/{run_id}"

    def finish(self, run_id: str, status: str = "FINISHED") -> None:
        """End the run with the status FINISHED, FAILED or KILLED."""
        with self._translate_deleted_run(run_id):
            self._client.set_terminated(run_id, status)

    def search_runs(self, experiment: str, query: str = "", *, newest: int = MAX_RUNS) -> list[Run]:
        """
        Return the newest runs of an experiment; none if the experiment does not exist.

        Parameters
        ----------
        experiment
            Name of the experiment.
        query
            MLflow's filter.
        newest
            Maximum number of runs.

        Raises
        ------
        SettingsError
            If MLflow refuses the filter.
        """
        with translate_mlflow_errors(self.uri), permanent_errors(f"the search for runs by {query!r}"):
            existing = self._client.get_experiment_by_name(experiment)
            if existing is None:
                return []
            return list(
                self._client.search_runs(
                    [existing.experiment_id], query, max_results=newest, order_by=["start_time DESC"]
                )
            )

    def _active_run(self, run_id: str) -> Run:
        with self._translate_deleted_run(run_id):
            run = self._client.get_run(run_id)
        if run.info.lifecycle_stage == "deleted":
            raise _run_deleted(run_id)
        return run

    @contextmanager
    def _translate_deleted_run(self, run_id: str) -> Iterator[None]:
        try:
            with translate_mlflow_errors(self.uri):
                yield
        except MlflowException as error:
            is_missing = error.error_code == "RESOURCE_DOES_NOT_EXIST"
            if not is_missing and "must be in the 'active' state" not in str(error):
                raise
            raise _run_deleted(run_id) from error


def _metric_points(metrics: Mapping[str, float], series: Mapping[str, Mapping[int, float]]) -> list[Metric]:
    timestamp = _now_ms()
    points = [Metric(name, value, timestamp, 0) for name, value in metrics.items() if name not in series]
    for name, values in series.items():
        points.extend(Metric(name, value, timestamp, step) for step, value in values.items())
    return points


def _run_deleted(run_id: str) -> RunDeleted:
    return RunDeleted(
        f"The MLflow run {run_id} was deleted, and this task needs it. Restore it (mlflow runs restore "
        f"--run-id {run_id}) and clear this task; or clear the task that created it, for a new run."
    )


def _now_ms() -> int:
    return int(time.time() * 1000)
