"""Registered versions that a list of pinned packages would change, by the packages in their certificates."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from include.certificates.certificate import verify_signature
from include.errors import CertificateInvalid, DataError
from include.inference.download import download_certificate, registered_versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from include.inference.golden_comparison import GoldenComparison

NOT_LISTED = "not listed"
# A backslash continues a line; a comment begins a line or follows a blank.
CONTINUATION = re.compile(r"\\\r?\n")
COMMENT = re.compile(r"(^|\s)#.*")
# Options of a requirement, such as its hashes.
OPTIONS = re.compile(r"\s--.*")


@dataclass(frozen=True, slots=True)
class PackageDifference:
    """A package that is pinned to another version than a model was trained with."""

    package: str
    trained_with: str
    listed: str


@dataclass(frozen=True, slots=True)
class VersionCheck:
    """
    A registered version, and what a list of packages would change; `unknown` says why in `reason`.

    `comparison` are those to the golden rows with these packages, if they were asked for.
    """

    use_case: str
    version: int
    status: Literal["same", "changed", "unknown"]
    differences: tuple[PackageDifference, ...] = ()
    reason: str = ""
    comparison: GoldenComparison | None = None


def read_pins(path: Path) -> dict[str, str]:
    """
    Return the version of each package that a requirements file pins, by its canonical name.

    Raises
    ------
    DataError
        If the file cannot be read, or has a line that pins no version.
    """
    try:
        text = CONTINUATION.sub(" ", path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}. Name a requirements file.") from error
    pins: dict[str, str] = {}
    for line in text.splitlines():
        content = OPTIONS.sub("", COMMENT.sub("", line)).strip()
        if not content or content.startswith("--"):
            continue
        requirement = _parse_requirement(content, path)
        if requirement.marker is None or requirement.marker.evaluate():
            pins[canonicalize_name(requirement.name)] = _pinned_version(requirement, path)
    return pins


def check_versions(
    use_cases: Iterable[str], pins: Mapping[str, str], *, mlflow_uri: str, trusted: Path
) -> list[VersionCheck]:
    """
    Return for each registered version of the use cases what the pinned packages would change.

    Parameters
    ----------
    use_cases
        Names of registered models.
    pins
        Version of each package, from `read_pins`.
    mlflow_uri
        Address of the MLflow server.
    trusted
        Folder of the trusted public keys.

    Raises
    ------
    ServiceUnavailable
        If MLflow does not answer.
    """
    checks = []
    for use_case in use_cases:
        for version in sorted(registered_versions(mlflow_uri, use_case)):
            try:
                content = download_certificate(mlflow_uri, use_case, version)
                certificate = verify_signature(content, trusted, f"the certificate of version {version}")
            except (CertificateInvalid, DataError) as error:
                checks.append(VersionCheck(use_case, version, "unknown", reason=str(error)))
                continue
            differences = pinned_differences(certificate.environment, pins)
            status: Literal["same", "changed"] = "changed" if differences else "same"
            checks.append(VersionCheck(use_case, version, status, differences))
    return checks


def pinned_differences(
    environment: Mapping[str, str], pins: Mapping[str, str]
) -> tuple[PackageDifference, ...]:
    """Return the packages of a certificate that are pinned to another version; a list pins no Python."""
    differences = []
    for package, recorded in environment.items():
        listed = pins.get(canonicalize_name(package), NOT_LISTED)
        if package != "python" and not _is_same_version(recorded, listed):
            differences.append(PackageDifference(package, recorded, listed))
    return tuple(differences)


def _parse_requirement(content: str, path: Path) -> Requirement:
    try:
        return Requirement(content)
    except InvalidRequirement as error:
        raise DataError(
            f"{path}: `{content}` is no requirement of a package. Compile the file: `uv pip compile`."
        ) from error


def _pinned_version(requirement: Requirement, path: Path) -> str:
    specifiers = list(requirement.specifier)
    if len(specifiers) != 1 or specifiers[0].operator != "==" or specifiers[0].version.endswith("*"):
        raise DataError(
            f"{path}: `{requirement}` pins no version by `==`. Compile the file: `uv pip compile`."
        )
    return specifiers[0].version


def _is_same_version(recorded: str, listed: str) -> bool:
    try:
        return Version(recorded) == Version(listed)
    except InvalidVersion:
        return recorded == listed
