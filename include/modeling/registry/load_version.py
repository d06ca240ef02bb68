"""Loading of a registered version: download it, verify the certificate, load the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.certificates.certificate import verify_certificate
from include.inference.model import load_verified

if TYPE_CHECKING:
    from pathlib import Path

    from include.certificates.certificate import Certificate
    from include.inference.model import ServedModel
    from include.modeling.registry.registry import Registry


@dataclass(frozen=True, slots=True)
class LoadedVersion:
    """A registered version in memory, and its certificate."""

    version: int
    model: ServedModel
    certificate: Certificate


def load_version(
    registry: Registry, use_case: str, version: int, *, folder: Path, trusted: Path
) -> LoadedVersion:
    """
    Load a version of the use case.

    Parameters
    ----------
    registry
        Registry of the version.
    use_case
        Name of the registered model.
    version
        Version to load.
    folder
        Folder to download the version to.
    trusted
        Folder of the trusted public keys.

    Raises
    ------
    ReleaseError
        If the version does not exist.
    CertificateInvalid
        If no trusted key certified exactly these files for this use case.
    """
    registry.download(use_case, version, folder)
    certificate = verify_certificate(folder, trusted, use_case=use_case)
    return LoadedVersion(version, load_verified(folder, certificate), certificate)
