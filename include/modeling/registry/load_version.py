"""Load a registered version as the model server does: fetched, its certificate checked, then unpickled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.certificates import certificate
from include.inference import model as loading

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
    Return a version of the use case, fetched into `folder`.

    :raises ReleaseError: if there is no such version
    :raises CertificateInvalid: if nobody trusted certified exactly these files for this use case
    """
    registry.download(use_case, version, folder)
    about = certificate.verify_certificate(folder, trusted, use_case=use_case)
    return LoadedVersion(version, loading.load_model(folder, trusted, use_case=use_case), about)
