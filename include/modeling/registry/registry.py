"""The models and versions in MLflow, made once each however often a task is tried."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlflow.exceptions import MlflowException

from include.certificates import certificate
from include.errors import ReleaseError
from include.modeling.registry import artifacts
from include.modeling.registry.idempotency import (
    get_or_create,
    permanent_errors,
    post,
    translate_mlflow_errors,
)
from include.modeling.registry.tracking import KEY, Tracking

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["DIGEST", "KEY", "Logged", "Registry", "as_tags"]

DIGEST = "airworthy.digest"
MOST_VERSIONS = 1_000
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


class Registry(Tracking):
    """MLflow at `uri` with its logged models and registered versions, made once each as its runs are."""

    def logged(self, run_id: str) -> Logged | None:
        """
        Return the run's model if all of its files are in MLflow.

        :raises RunDeleted: if somebody deleted the run
        """
        with translate_mlflow_errors(self.uri):
            model = self._model_of(self._active(run_id))
        if model is None or model.status != "READY":
            return None
        return _complete(model)

    def log_model(self, run_id: str, folder: Path, *, digest: str, tags: Mapping[str, str]) -> Logged:
        """
        Put the model folder into MLflow as the one model of the run.

        Return what an earlier attempt logged completely, or else the model in `folder`. A half-written one is
        written over.
        """
        with translate_mlflow_errors(self.uri), self.lock(f"model/{run_id}"):
            run = self._active(run_id)
            body = {
                "experiment_id": run.info.experiment_id,
                "name": run.data.tags.get("airworthy.use_case", "candidate"),
                "source_run_id": run_id,
                "tags": [{"key": key, "value": value} for key, value in tags.items()],
            }
            model: LoggedModel = get_or_create(
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
        with translate_mlflow_errors(self.uri):
            return artifacts.fetch_artifacts(
                self.uri, self._client.get_logged_model(model_id).artifact_location, folder
            )

    def add_certificate(self, model_id: str, folder: Path) -> None:
        """Put the certificate in `folder` beside the files of a logged model, its evidence before it."""
        with translate_mlflow_errors(self.uri):
            location = self._client.get_logged_model(model_id).artifact_location
            artifacts.add_certificate(self.uri, location, folder)

    def describe(self, use_case: str, version: int, text: str) -> None:
        """Write the description of a version that MLflow's pages show, as Markdown."""
        with translate_mlflow_errors(self.uri):
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

        with translate_mlflow_errors(self.uri), self.lock(f"versions/{use_case}"):
            return get_or_create(find, create, f"the version of {use_case} from run {run_id}")

    def download(self, use_case: str, version: int, destination: Path) -> Path:
        """
        Fetch every file of a version into `destination`, which appears complete or not at all.

        :raises ReleaseError: if there is no such version
        :raises CertificateInvalid: if its files are those of another model than was registered
        """
        try:
            with translate_mlflow_errors(self.uri):
                registered = self._client.get_model_version(use_case, str(version)).tags.get(DIGEST)
                uri = self._client.get_model_version_download_uri(use_case, str(version))
                artifacts.fetch_artifacts(self.uri, uri, destination)
        except MlflowException as error:
            raise ReleaseError(f"{use_case} version {version} cannot be fetched: {error}") from error
        if registered is not None:
            certificate.require_digest(destination, registered, f"{use_case} version {version}")
        return destination

    def tags_of(self, use_case: str, version: int) -> dict[str, str]:
        """Return the tags of a version: its lineage."""
        with translate_mlflow_errors(self.uri):
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
        with translate_mlflow_errors(self.uri):
            for key, value in tags.items():
                self._client.set_model_version_tag(use_case, str(version), key, value)

    def alias(self, use_case: str, **aliases: int | None) -> None:
        """
        Make MLflow's aliases say what the desired state says; None takes an alias away.

        They are for people to see: nothing here reads them, since they have no compare-and-swap.
        """
        told = permanent_errors(f"the aliases {aliases} of {use_case}")
        with translate_mlflow_errors(self.uri), told, self.lock(f"aliases/{use_case}"):
            now = self._client.get_registered_model(use_case).aliases
            for name, version in aliases.items():
                if version is None and name in now:
                    self._client.delete_registered_model_alias(use_case, name)
                elif version is not None and now.get(name) != str(version):
                    self._client.set_registered_model_alias(use_case, name, str(version))

    def versions(self, model: str, query: str = "") -> list[dict[str, Any]]:
        """Return version, run, aliases and tags of the versions that MLflow's filter finds, newest first."""
        wanted = f"name = '{model}'" + (f" AND {query}" if query else "")
        order = ["version_number DESC"]
        with translate_mlflow_errors(self.uri), permanent_errors(f"the search for versions by {query!r}"):
            found = self._client.search_model_versions(wanted, max_results=MOST_VERSIONS, order_by=order)
            aliases = self._client.get_registered_model(model).aliases if found else {}
        return [
            {
                "version": int(one.version),
                "run_id": one.run_id,
                "aliases": sorted(alias for alias, named in aliases.items() if named == one.version),
                "tags": dict(one.tags),
            }
            for one in found
        ]

    def _versions_with(self, tag: str, value: str) -> Iterator[ModelVersion]:
        token: str | None = None
        while True:
            with translate_mlflow_errors(self.uri):
                page = self._client.search_model_versions(f"tags.`{tag}` = '{value}'", page_token=token)
            yield from page
            if not (token := page.token):
                return

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


def as_tags(values: Mapping[str, Any]) -> dict[str, str]:
    """Return values as tags of a run, model or version, each name below `airworthy.`."""
    return {f"airworthy.{name}": str(value) for name, value in values.items()}
