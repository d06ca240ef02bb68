"""The runs, models and versions in MLflow, made once each however often a task is tried."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from include.errors import ReleaseError, SettingsError
from include.modeling import artifacts, certificate
from include.modeling.once import alone, once, post, reaching

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion
    from sqlalchemy import Engine

IDENTITY = ("airworthy.dag", "airworthy.run", "airworthy.partition")
KEY, DIGEST = "airworthy.key", "airworthy.digest"
SNAPSHOT_TABLES = (  # the tags of a version that name a table, and its version
    ("airworthy.snapshot.feature_view", "airworthy.snapshot.feature_version"),
    ("airworthy.snapshot.label_dataset", "airworthy.snapshot.label_version"),
)


@dataclass(frozen=True, slots=True)
class Logged:
    """A model whose files are all in MLflow, the digest over them, and its tags."""

    model_id: str
    digest: str
    tags: Mapping[str, str] = field(default_factory=dict)


class Registry:
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

    def alone(self, subject: str) -> AbstractContextManager[None]:
        """Return a lock on `subject` that one process holds at a time."""
        return alone(self._engine, f"registry/{subject}")

    def run_for(self, use_case: str, tags: Mapping[str, str]) -> str:
        """
        Return the id of the one MLflow run of a DAG run, in the experiment named after the use case.

        `airworthy.dag`, `airworthy.run` and `airworthy.partition` in `tags` say which; other tags are
        written beside them, anew by each attempt.

        :raises SettingsError: if a tag is missing
        """
        missing = [name for name in IDENTITY if name not in tags]
        if missing:
            raise SettingsError(f"{use_case}: a run is found by its tags; give {', '.join(missing)} too.")
        identity = json.dumps([use_case, *(tags[name] for name in IDENTITY)])
        key = hashlib.sha256(identity.encode()).hexdigest()
        name = f"{tags['airworthy.dag']} {tags['airworthy.run']}"
        experiment = self._experiment(use_case)
        query = f"tags.`{KEY}` = '{key}'"
        created = False

        def find() -> str | None:
            runs = self._client.search_runs([experiment], query, max_results=1, order_by=["start_time ASC"])
            return runs[0].info.run_id if runs else None

        def create() -> None:
            nonlocal created
            pairs = [{"key": key, "value": value} for key, value in ({**tags, KEY: key}).items()]
            body = {"experiment_id": experiment, "run_name": name, "start_time": _now(), "tags": pairs}
            post(self.uri, "runs/create", body)
            created = True

        with reaching(self.uri), self.alone(f"run/{key}"):
            run_id = once(find, create, f"the run {name}")
            beside = {name: value for name, value in tags.items() if name not in IDENTITY}
            if beside and not created:
                self.log(run_id, tags=beside)
        return run_id

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
        """
        at = _now()
        steps = {name: {0: value} for name, value in (metrics or {}).items()} | dict(series or {})
        points = [
            Metric(name, value, at, step) for name, each in steps.items() for step, value in each.items()
        ]
        try:
            with reaching(self.uri):
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
                f"The MLflow run {run_id} has other parameters: {error}. Trigger a new DAG run instead of "
                "clearing one whose code or declaration has changed since."
            ) from error

    def log_file(self, run_id: str, path: Path) -> None:
        """Keep a file with the run, under its name."""
        with reaching(self.uri):
            self._client.log_artifact(run_id, str(path))

    def file(self, run_id: str, name: str, folder: Path) -> Path | None:
        """Fetch the file `name` of a run into `folder`; None if the run or the file is not there."""
        with reaching(self.uri):
            try:
                return Path(self._client.download_artifacts(run_id, name, str(folder)))
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return None
                raise

    def page_of(self, run_id: str) -> str:
        """Return the route of a run's page in MLflow's UI."""
        with reaching(self.uri):
            experiment = self._client.get_run(run_id).info.experiment_id
        return f"experiments/{experiment}/runs/{run_id}"

    def finish(self, run_id: str, status: str = "FINISHED") -> None:
        """End the run as FINISHED, FAILED or KILLED."""
        with reaching(self.uri):
            self._client.set_terminated(run_id, status)

    def logged(self, run_id: str) -> Logged | None:
        """Return the run's model if all of its files are in MLflow."""
        with reaching(self.uri):
            model = self._model_of(self._client.get_run(run_id))
        if model is None or model.status != "READY":
            return None
        return _complete(model)

    def log_model(self, run_id: str, folder: Path, *, digest: str, tags: Mapping[str, str]) -> Logged:
        """
        Put the model folder into MLflow as the one model of the run.

        Return what an earlier attempt logged completely, or else the model in `folder`. A half-written one is
        written over.
        """
        with reaching(self.uri), self.alone(f"model/{run_id}"):
            run = self._client.get_run(run_id)
            body = {
                "experiment_id": run.info.experiment_id,
                "name": run.data.tags.get("airworthy.use_case", "candidate"),
                "source_run_id": run_id,
                "tags": [{"key": key, "value": value} for key, value in tags.items()],
            }
            model: LoggedModel = once(
                lambda: self._model_of(run),
                lambda: post(self.uri, "logged-models", body),
                f"the model of run {run_id}",
            )
            if model.status == "READY":
                return _complete(model)
            self._client.log_model_artifacts(model.model_id, str(folder))
            self._client.set_logged_model_tags(model.model_id, {**tags, DIGEST: digest})
            self._client.finalize_logged_model(model.model_id, "READY")
        return Logged(model.model_id, digest, dict(tags))

    def fetch(self, model_id: str, folder: Path) -> Path:
        """Fetch every file of a logged model into `folder`, which appears complete or not at all."""
        with reaching(self.uri):
            return artifacts.fetch(
                self.uri, self._client.get_logged_model(model_id).artifact_location, folder
            )

    def files_of(self, run_id: str, folder: Path) -> Path:
        """Fetch every file of a run into `folder`, which appears complete or not at all."""
        with reaching(self.uri):
            return artifacts.fetch(self.uri, self._client.get_run(run_id).info.artifact_uri, folder)

    def add_certificate(self, model_id: str, folder: Path) -> None:
        """Put the certificate in `folder` beside the files of a logged model, its evidence before it."""
        with reaching(self.uri):
            location = self._client.get_logged_model(model_id).artifact_location
            artifacts.add_certificate(self.uri, location, folder)

    def describe(self, use_case: str, version: int, text: str) -> None:
        """Write the description of a version that MLflow's pages show, as Markdown."""
        with reaching(self.uri):
            self._client.update_model_version(use_case, str(version), text)

    def register(self, use_case: str, run_id: str, logged: Logged, tags: Mapping[str, str]) -> int:
        """Return the version of this model, made where it is not there: one for a run and a digest."""
        carried = {**tags, DIGEST: logged.digest, "airworthy.run_id": run_id}
        body = {
            "name": use_case,
            "source": f"models:/{logged.model_id}",
            "run_id": run_id,
            "model_id": logged.model_id,
            "tags": [{"key": key, "value": value} for key, value in carried.items()],
        }

        def find() -> int | None:
            found = self._client.search_model_versions(f"name = '{use_case}' AND run_id = '{run_id}'")
            same = [int(version.version) for version in found if version.tags.get(DIGEST) == logged.digest]
            return min(same, default=None)

        def create() -> None:
            self._ensure_registered(use_case)
            post(self.uri, "model-versions/create", body)

        with reaching(self.uri), self.alone(f"versions/{use_case}"):
            return once(find, create, f"the version of {use_case} from run {run_id}")

    def download(self, use_case: str, version: int, destination: Path) -> Path:
        """
        Fetch every file of a version into `destination`, which appears complete or not at all.

        :raises ReleaseError: if there is no such version
        :raises CertificateInvalid: if its files are those of another model than was registered
        """
        try:
            with reaching(self.uri):
                registered = self._client.get_model_version(use_case, str(version)).tags.get(DIGEST)
                uri = self._client.get_model_version_download_uri(use_case, str(version))
                artifacts.fetch(self.uri, uri, destination)
        except MlflowException as error:
            raise ReleaseError(f"{use_case} version {version} cannot be fetched: {error}") from error
        if registered is not None:
            certificate.require(destination, registered, f"{use_case} version {version}")
        return destination

    def tags_of(self, use_case: str, version: int) -> dict[str, str]:
        """Return the tags of a version: its lineage."""
        with reaching(self.uri):
            return dict(self._client.get_model_version(use_case, str(version)).tags)

    def versions_of_table(self, table: str) -> set[int]:
        """Return the versions of a table of the lake that the snapshots of registered models name."""
        named: set[int] = set()
        for subject, version in SNAPSHOT_TABLES:
            for found in self._versions_with(subject, table):
                if number := found.tags.get(version):
                    named.add(int(number))
        return named

    def version_tags(self, use_case: str, version: int, tags: Mapping[str, str]) -> None:
        """Write tags on a version."""
        with reaching(self.uri):
            for key, value in tags.items():
                self._client.set_model_version_tag(use_case, str(version), key, value)

    def alias(self, use_case: str, **aliases: int | None) -> None:
        """
        Make MLflow's aliases say what the desired state says; None takes an alias away.

        They are for people to see: nothing here reads them, since they have no compare-and-swap.
        """
        with reaching(self.uri), self.alone(f"aliases/{use_case}"):
            now = self._client.get_registered_model(use_case).aliases
            for name, version in aliases.items():
                if version is None and name in now:
                    self._client.delete_registered_model_alias(use_case, name)
                elif version is not None and now.get(name) != str(version):
                    self._client.set_registered_model_alias(use_case, name, str(version))

    def _versions_with(self, tag: str, value: str) -> Iterator[ModelVersion]:
        token: str | None = None
        while True:
            with reaching(self.uri):
                page = self._client.search_model_versions(f"tags.`{tag}` = '{value}'", page_token=token)
            yield from page
            if not (token := page.token):
                return

    def _experiment(self, name: str) -> str:
        with reaching(self.uri):
            found = self._client.get_experiment_by_name(name)
            if found is None:
                try:
                    return str(self._client.create_experiment(name))
                except MlflowException as error:
                    if error.error_code != "RESOURCE_ALREADY_EXISTS":
                        raise
                    found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id)

    def _ensure_registered(self, use_case: str) -> None:
        try:
            self._client.create_registered_model(use_case)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _model_of(self, run: Run) -> LoggedModel | None:
        found = self._client.search_logged_models(
            [run.info.experiment_id],
            filter_string=f"source_run_id = '{run.info.run_id}'",
            order_by=[{"field_name": "creation_timestamp", "ascending": True}],
            max_results=1,
        )
        return found[0] if found else None


def _complete(model: LoggedModel) -> Logged:
    return Logged(model.model_id, model.tags[DIGEST], dict(model.tags))


def _now() -> int:
    return int(time.time() * 1000)


def as_tags(values: Mapping[str, Any]) -> dict[str, str]:
    """Return values as tags of a run, model or version, each name below `airworthy.`."""
    return {f"airworthy.{name}": str(value) for name, value in values.items()}
