"""What a release asks of a registered version: is it certified, and what must it answer."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from include.certificates import certificate
from include.modeling.packaging.package import GOLDEN

if TYPE_CHECKING:
    from include.certificates.certificate import Certificate
    from include.modeling.registry.registry import Registry
    from include.release.rollout import ReleaseState


def verify_version(registry: Registry, use_case: str, version: int, *, trusted: Path) -> Certificate:
    """
    Return the certificate of a version, fetched and checked file by file.

    :raises CertificateInvalid: if nobody trusted certified exactly these files for this use case
    """
    with TemporaryDirectory() as folder:
        model = registry.download(use_case, version, Path(folder) / "model")
        return certificate.verify_certificate(model, trusted, use_case=use_case)


def golden_of_version(registry: Registry, use_case: str, version: int, *, trusted: Path) -> dict[str, Any]:
    """Return rows (`dataframe_split`) and the `predictions` that a certified version must always give."""
    with TemporaryDirectory() as folder:
        model = registry.download(use_case, version, Path(folder) / "model")
        certificate.verify_certificate(model, trusted, use_case=use_case)
        content: dict[str, Any] = json.loads((model / GOLDEN).read_text())
        return content


def project_aliases(registry: Registry, state: ReleaseState) -> None:
    """Make MLflow's aliases say what the desired state says."""
    registry.alias(
        state.use_case, champion=state.champion, challenger=state.challenger, previous=state.previous
    )
