"""Inputs of a certified version that are not as they were: code, lock, packages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.errors import DeclarationError
from include.inference.start_check import present_version
from include.modeling.registry.provenance import code_version, lock_hash
from include.modeling.registry.source_files import present_digest
from include.specifications import declared_specification

if TYPE_CHECKING:
    from include.certificates.certificate import Certificate
    from include.declarations import UseCase
    from include.declarations.specification import Specification


@dataclass(frozen=True, slots=True)
class Change:
    """An input that is not as it was when the version was certified."""

    what: str
    then: str
    now: str


def input_changes(certificate: Certificate) -> tuple[Change, ...]:
    """Return which of code, lock and packages are not as they were when a version was certified."""
    code = code_version()
    inputs = [
        Change("code", certificate.code_version, code),
        Change("lock", certificate.lock_hash, lock_hash()),
        *(Change(name, then, present_version(name)) for name, then in certificate.environment.items()),
        *(Change(path, then, present_digest(path) or "gone") for path, then in certificate.sources.items()),
    ]
    changes = [change for change in inputs if change.then != change.now]
    is_unknown = code.endswith("-dirty") or code == "unknown"
    if certificate.code_version == code and is_unknown and not certificate.sources:
        unknown = Change("code, perhaps", code, "the files were not committed, so they are unknown")
        changes.insert(0, unknown)
    return tuple(changes)


def declared_changes(specification: Specification, declared: UseCase) -> tuple[Change, ...]:
    """Return what is declared in another way today than when the version was trained."""
    try:
        # That a value was missing in its rows is no change of a declaration.
        today = declared_specification(declared).with_missing(set(specification.nullable))
    except DeclarationError as error:
        return (Change("declaration", "valid", str(error)),)
    differences = specification.differences(today)
    return tuple(Change(f"declared {name}", then, now) for name, (then, now) in differences.items())


def recorded_inputs(certificate: Certificate) -> str:
    """Return in words which inputs of a model its certificate records."""
    n_files = len(certificate.sources)
    files = f"the text of {n_files} files, " if n_files else ""
    n_packages = len(certificate.environment.keys() - {"python"})
    return f"{files}commit, lock, python and {n_packages} packages"
