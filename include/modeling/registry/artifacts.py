"""Artifacts of MLflow: complete downloads of folders, and uploads of certificates."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from include.certificates.certificate import EVIDENCE, FILE_NAME

if TYPE_CHECKING:
    from mlflow import MlflowClient


def fetch_artifacts(uri: str, location: str, folder: Path) -> Path:
    """
    Download all artifacts at `location` to `folder`, which is replaced only after a complete download.

    Parameters
    ----------
    uri
        Address of MLflow.
    location
        Artifact URI of a run or a logged model.
    folder
        Folder to create or replace; it is returned.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        get_artifact_repository(location, tracking_uri=uri).download_artifacts("", str(draft))
        shutil.rmtree(folder, ignore_errors=True)
        draft.replace(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def read_artifact(client: MlflowClient, run_id: str, name: str) -> bytes:
    """Return the content of the file `name` of a run."""
    with tempfile.TemporaryDirectory(prefix="airworthy-") as folder:
        return Path(client.download_artifacts(run_id, name, folder)).read_bytes()


def add_certificate(uri: str, location: str, folder: Path) -> None:
    """
    Upload the evidence and then the certificate in `folder` to the model at `location`.

    Evidence of an earlier attempt that ended before its certificate was uploaded is deleted first.
    """
    repository = get_artifact_repository(location, tracking_uri=uri)
    repository.delete_artifacts(EVIDENCE)
    if (folder / EVIDENCE).is_dir():
        repository.log_artifacts(str(folder / EVIDENCE), EVIDENCE)
    repository.log_artifact(str(folder / FILE_NAME))
