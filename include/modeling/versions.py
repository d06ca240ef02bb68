"""What a release asks of a registered version: is it certified, and what must it answer."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from include.modeling import certificate, packaging

if TYPE_CHECKING:
    from include.modeling.certificate import Certificate
    from include.modeling.packaging import Golden
    from include.modeling.registry import Registry
    from include.release.rollout import State


def verify(registry: Registry, use_case: str, version: int, *, trusted: Path) -> Certificate:
    """
    Return the certificate of a version, fetched and checked file by file.

    :raises CertificateInvalid: if nobody trusted certified exactly these files for this use case
    """
    with TemporaryDirectory() as folder:
        model = registry.download(use_case, version, Path(folder) / "model")
        return certificate.verify(model, trusted, use_case=use_case)


def golden(registry: Registry, use_case: str, version: int, *, trusted: Path) -> Golden:
    """Return the rows that a version must always answer alike, once its certificate is checked."""
    with TemporaryDirectory() as folder:
        model = registry.download(use_case, version, Path(folder) / "model")
        certificate.verify(model, trusted, use_case=use_case)
        return packaging.golden(model)


def project(registry: Registry, state: State) -> None:
    """Make MLflow's aliases say what the desired state says."""
    registry.alias(
        state.use_case, champion=state.champion, challenger=state.challenger, previous=state.previous
    )
