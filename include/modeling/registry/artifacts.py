"""Files in MLflow's artifact store: fetched whole or not at all, and certificates put beside a model."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from include.certificates.certificate import EVIDENCE, FILE_NAME


def fetch_artifacts(uri: str, location: str, folder: Path) -> Path:
    """Fetch everything at `location` of the MLflow at `uri` into `folder`, which appears complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        get_artifact_repository(location, tracking_uri=uri).download_artifacts("", str(draft))
        shutil.rmtree(folder, ignore_errors=True)
        draft.replace(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def add_certificate(uri: str, location: str, folder: Path) -> None:
    """Put the certificate in `folder` beside the model at `location`, its evidence before it."""
    store = get_artifact_repository(location, tracking_uri=uri)
    store.delete_artifacts(EVIDENCE)  # of an attempt that ended before it had signed
    if (folder / EVIDENCE).is_dir():
        store.log_artifacts(str(folder / EVIDENCE), EVIDENCE)
    store.log_artifact(str(folder / FILE_NAME))
