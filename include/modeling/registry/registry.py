"""Models and versions in MLflow: each is created once, and found again by later attempts."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlflow.exceptions import MlflowException

from include.errors import DataError, ReleaseError, RunDeleted
from include.inference.download import download_version
from include.modeling.registry import artifacts
from include.modeling.registry.idempotency import (
    get_or_create,
    permanent_errors,
    post,
    translate_mlflow_errors,
)
from include.modeling.registry.tracking import Tracking

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["DIGEST", "ModelReference", "Registry", "as_tags"]

DIGEST = "airworthy.digest"
MAX_VERSIONS = 1_000
# Tags of a version that name a table of its snapshot, and the version of that table.
SNAPSHOT_TABLES = (
    ("airworthy.snapshot.feature_view", "airworthy.snapshot.feature_version"),
    ("airworthy.snapshot.label_dataset", "airworthy.snapshot.label_version"),
)
# Before the name of a further feature view in the tag with the version of its table.
JOINED_VERSIONS = "airworthy.snapshot.joined_versions"


@dataclass(frozen=True, slots=True)
class ModelReference:
    """A completely logged model: its id in MLflow, the digest of its files, and its tags."""

    model_id: str
    digest: str
    tags: Mapping[str, str] = field(default_factory=dict)


class Registry(Tracking):
    """Experiments, runs, logged models and registered versions of an MLflow server."""

    def logged_model(self, run_id: str) -> ModelReference | None:
        """
        Return the model of a run; None if there is none, or it is not completely logged.

        Raises
        ------
        RunDeleted
            If the run was deleted.
        """
        with translate_mlflow_errors(self.uri):
            model = self._model_of_run(self._active_run(run_id))
        if model is None or model.status != "READY":
            return None
        return _reference(model)

    def log_model(self, run_id: str, folder: Path, *, digest: str, tags: Mapping[str, str]) -> ModelReference:
        """
        Log the model folder as the only model of the run.

        A model that an earlier attempt logged completely is kept; an incomplete one is overwritten.

        Parameters
        ----------
        run_id
            Run of the model.
        folder
            Model folder.
        digest
            Digest of the files in `folder`.
        tags
            Tags of the model.

        Returns
        -------
        ModelReference
            The model in `folder`, or the one that an earlier attempt logged completely.

        Raises
        ------
        RunDeleted
            If the run was deleted.
        """
        with translate_mlflow_errors(self.uri), self.lock(f"model/{run_id}"):
            run = self._active_run(run_id)
            body = {
                "experiment_id": run.info.experiment_id,
                "name": run.data.tags.get("airworthy.use_case", "candidate"),
                "source_run_id": run_id,
                "tags": [{"key": key, "value": value} for key, value in tags.items()],
            }
            model: LoggedModel = get_or_create(
                lambda: self._model_of_run(run),
                lambda: post(self.uri, "logged-models", body),
                f"the model of run {run_id}",
            )
            if model.status == "READY":
                return _reference(model)
            self._client.log_model_artifacts(model.model_id, str(folder))
            self._client.set_logged_model_tags(model.model_id, {**tags, DIGEST: digest})
            self._client.finalize_logged_model(model.model_id, "READY")
        return ModelReference(model.model_id, digest, dict(tags))

    def fetch_model(self, model_id: str, folder: Path) -> Path:
        """
        Download all files of a logged model; `folder` is replaced only after a complete download.

        Raises
        ------
        RunDeleted
            If the model or its files were deleted.
        """
        with translate_mlflow_errors(self.uri), _model_deleted(model_id):
            location = self._client.get_logged_model(model_id).artifact_location
            artifacts.fetch_artifacts(self.uri, location, folder)
        if not any(folder.iterdir()):
            raise RunDeleted(f"The files of the MLflow model {model_id} were deleted.")
        return folder

    def add_certificate(self, model_id: str, folder: Path) -> None:
        """Upload the evidence and then the certificate in `folder` to the files of a logged model."""
        with translate_mlflow_errors(self.uri):
            location = self._client.get_logged_model(model_id).artifact_location
            artifacts.add_certificate(self.uri, location, folder)

    def describe_version(self, use_case: str, version: int, text: str) -> None:
        """Set the description of a version, in Markdown."""
        with translate_mlflow_errors(self.uri):
            self._client.update_model_version(use_case, str(version), text)

    def register(self, use_case: str, run_id: str, model: ModelReference, tags: Mapping[str, str]) -> int:
        """
        Return the version of a model; it is created if necessary, one for each run and digest.

        Parameters
        ----------
        use_case
            Name of the registered model.
        run_id
            Run of the model.
        model
            Logged model.
        tags
            Tags of a new version.
        """
        all_tags = {**tags, DIGEST: model.digest, "airworthy.run_id": run_id}
        body = {
            "name": use_case,
            "source": f"models:/{model.model_id}",
            "run_id": run_id,
            "model_id": model.model_id,
            "tags": [{"key": key, "value": value} for key, value in all_tags.items()],
        }

        def find() -> int | None:
            versions = self._client.search_model_versions(f"name = '{use_case}' AND run_id = '{run_id}'")
            same = [int(version.version) for version in versions if version.tags.get(DIGEST) == model.digest]
            return min(same, default=None)

        def create() -> None:
            self._ensure_registered_model(use_case)
            post(self.uri, "model-versions/create", body)

        with translate_mlflow_errors(self.uri), self.lock(f"versions/{use_case}"):
            return get_or_create(find, create, f"the version of {use_case} from run {run_id}")

    def download(self, use_case: str, version: int, destination: Path) -> Path:
        """
        Replace `destination` by all files of a version, downloaded as the model server downloads them.

        The folder appears only after a complete download.

        Raises
        ------
        ReleaseError
            If the version does not exist, or MLflow does not serve its files.
        CertificateInvalid
            If the files are not those of the registered model.
        ServiceUnavailable
            If MLflow cannot be reached.
        """
        shutil.rmtree(destination, ignore_errors=True)
        try:
            return download_version(self.uri, use_case, version, destination)
        except DataError as error:
            raise ReleaseError(
                f"{use_case} version {version} cannot be downloaded: {error} Check the version in MLflow."
            ) from error

    def tags_of(self, use_case: str, version: int) -> dict[str, str]:
        """Return the tags of a version, which contain its lineage."""
        with translate_mlflow_errors(self.uri):
            return dict(self._client.get_model_version(use_case, str(version)).tags)

    def versions_of_table(self, table: str) -> set[int]:
        """Return the versions of a table that are in the snapshots of registered models."""
        table_versions: set[int] = set()
        for table_tag, version_tag in SNAPSHOT_TABLES:
            for model_version in self._versions_with_tag(table_tag, f"= '{table}'"):
                if number := model_version.tags.get(version_tag):
                    table_versions.add(int(number))
        joined_tag = f"{JOINED_VERSIONS}.{table}"
        for model_version in self._versions_with_tag(joined_tag, "LIKE '%'"):
            table_versions.add(int(model_version.tags[joined_tag]))
        return table_versions

    def set_version_tags(self, use_case: str, version: int, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        with translate_mlflow_errors(self.uri):
            for key, value in tags.items():
                self._client.set_model_version_tag(use_case, str(version), key, value)

    def set_aliases(self, use_case: str, **aliases: int | None) -> list[str]:
        """
        Set aliases of a registered model, and return those that were different; None deletes the alias.

        MLflow has no compare-and-swap for aliases, so no decision is based on them: they only show the
        desired state to people.

        Raises
        ------
        SettingsError
            If MLflow refuses an alias, or a version does not exist.
        """
        refused = permanent_errors(f"the aliases {aliases} of {use_case}")
        changed = []
        with translate_mlflow_errors(self.uri), refused, self.lock(f"aliases/{use_case}"):
            current = self._current_aliases(use_case)
            for name, version in aliases.items():
                if version is None and name in current:
                    self._client.delete_registered_model_alias(use_case, name)
                elif version is not None and current.get(name) != str(version):
                    self._client.set_registered_model_alias(use_case, name, str(version))
                else:
                    continue
                changed.append(name)
        return changed

    def _current_aliases(self, model: str) -> dict[str, str]:
        """Return the versions by alias; none of a model that was never registered."""
        try:
            return dict(self._client.get_registered_model(model).aliases)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return {}

    def search_versions(self, model: str, query: str = "") -> list[dict[str, Any]]:
        """
        Return versions of a registered model, newest first.

        Parameters
        ----------
        model
            Name of the registered model.
        query
            MLflow's filter.

        Returns
        -------
        list of dict
            `version`, `run_id`, `aliases` and `tags` of each version.

        Raises
        ------
        SettingsError
            If MLflow refuses the filter.
        """
        full_query = f"name = '{model}'" + (f" AND {query}" if query else "")
        with translate_mlflow_errors(self.uri), permanent_errors(f"the search for versions by {query!r}"):
            versions = self._client.search_model_versions(
                full_query, max_results=MAX_VERSIONS, order_by=["version_number DESC"]
            )
            aliases = self._client.get_registered_model(model).aliases if versions else {}
        return [
            {
                "version": int(version.version),
                "run_id": version.run_id,
                "aliases": _aliases_of(version.version, aliases),
                "tags": dict(version.tags),
            }
            for version in versions
        ]

    def _versions_with_tag(self, tag: str, condition: str) -> Iterator[ModelVersion]:
        token: str | None = None
        while True:
            with translate_mlflow_errors(self.uri):
                page = self._client.search_model_versions(f"tags.`{tag}` {condition}", page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _ensure_registered_model(self, use_case: str) -> None:
        try:
            self._client.create_registered_model(use_case)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _model_of_run(self, run: Run) -> LoggedModel | None:
        models = self._client.search_logged_models(
            [run.info.experiment_id],
            filter_string=f"source_run_id = '{run.info.run_id}'",
            order_by=[{"field_name": "creation_timestamp", "ascending": True}],
            max_results=1,
        )
        return models[0] if models else None


@contextmanager
def _model_deleted(model_id: str) -> Iterator[None]:
    """Raise RunDeleted where MLflow says that a model does not exist."""
    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise RunDeleted(f"The MLflow model {model_id} was deleted.") from error


def as_tags(values: Mapping[str, Any]) -> dict[str, str]:
    """Return values as tags of a run, model or version, with the prefix `airworthy.`."""
    return {f"airworthy.{name}": str(value) for name, value in values.items()}


def _reference(model: LoggedModel) -> ModelReference:
    return ModelReference(model.model_id, model.tags[DIGEST], dict(model.tags))


def _aliases_of(version: str, aliases: Mapping[str, str]) -> list[str]:
    return sorted(alias for alias, aliased in aliases.items() if aliased == version)
