"""Certificate and golden predictions of a registered version, and the aliases of a release."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from include.certificates import certificate
from include.errors import ReleaseError
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


def project_aliases(registry: Registry, state: ReleaseState) -> list[str]:
    """Set the aliases `champion`, `challenger`, `previous` as desired; return those that differed."""
    return registry.set_aliases(
        state.use_case, champion=state.champion, challenger=state.challenger, previous=state.previous
    )


def require_compared(verified: Certificate, version: int, champion: int | None) -> None:
    """
    Check that a certified version was compared with the champion that it would replace.

    Certificates without the gate `overlap` do not say which champion it was, and are accepted.

    Raises
    ------
    ReleaseError
        If it was compared with another champion, or with none.
    """
    figures = [gate.figures for gate in verified.gates if gate.gate == "overlap"]
    if champion is None or not figures:
        return
    compared = figures[0].get("champion")
    if compared != champion:
        what = f"champion {compared}" if compared else "no champion"
        raise ReleaseError(
            f"{verified.use_case} version {version} was compared with {what}, and version {champion} is the "
            f"champion now. Run {verified.use_case}_training, which compares with it; or trigger "
            f"{verified.use_case}_deployment with the number {version}, if it shall be released all the same."
        )
