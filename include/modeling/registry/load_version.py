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
class Certified:
    """A registered version in memory, and its certificate."""

    version: int
    model: ServedModel
    certificate: Certificate


def load(registry: Registry, use_case: str, version: int, *, folder: Path, trusted: Path) -> Certified:
    """
    Return a version of the use case, fetched into `folder`.

    :raises ReleaseError: if there is no such version
    :raises CertificateInvalid: if nobody trusted certified exactly these files for this use case
    """
    registry.download(use_case, version, folder)
    about = certificate.verify(folder, trusted, use_case=use_case)
    return Certified(version, loading.load(folder, trusted, use_case=use_case), about)
