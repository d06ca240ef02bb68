"""Certificate and golden predictions of a registered version, and the aliases of a release."""

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
    Download a version, verify its certificate and all of its files, and return the certificate.

    Raises
    ------
    ReleaseError
        If the version does not exist.
    CertificateInvalid
        If no trusted key certified exactly these files for this use case.
    """
    with TemporaryDirectory() as folder:
        model = registry.download(use_case, version, Path(folder) / "model")
        return certificate.verify_certificate(model, trusted, use_case=use_case)


def golden_of_version(registry: Registry, use_case: str, version: int, *, trusted: Path) -> dict[str, Any]:
    """
    Return the golden rows of a certified version.

    Returns
    -------
    dict
        Rows as `dataframe_split`, and the `predictions` that the version must always give.

    Raises
    ------
    ReleaseError
        If the version does not exist.
    CertificateInvalid
        If no trusted key certified exactly these files for this use case.
    """
    with TemporaryDirectory() as folder:
        model = registry.download(use_case, version, Path(folder) / "model")
        certificate.verify_certificate(model, trusted, use_case=use_case)
        content: dict[str, Any] = json.loads((model / GOLDEN).read_text())
        return content


def project_aliases(registry: Registry, state: ReleaseState) -> None:
    """Set MLflow's aliases `champion`, `challenger` and `previous` to the desired state."""
    registry.set_aliases(
        state.use_case, champion=state.champion, challenger=state.challenger, previous=state.previous
    )
