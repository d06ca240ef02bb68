"""Packages that use cases require, against those that are installed."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from include.errors import DeclarationError

if TYPE_CHECKING:
    from include.declarations.use_cases import UseCase


def check_requirements(case: UseCase) -> None:
    """Raise DeclarationError if a required package is not installed, or in another version."""
    candidates = [_problem_of(Requirement(text)) for text in case.requirements]
    problems = [problem for problem in candidates if problem is not None]
    if problems:
        quoted = " ".join(f"'{text}'" for text in case.requirements)
        raise DeclarationError(
            f"requirements: {'; '.join(problems)}; install them here, `uv pip install {quoted}`, and for all "
            "machines add them to requirements.in and run `make lock`"
        )


def required_packages(case: UseCase) -> dict[str, str]:
    """Return the installed version of each package that a use case requires, by its name."""
    requirements = map(Requirement, case.requirements)
    versions = {requirement.name: installed_version(requirement.name) for requirement in requirements}
    return {name: installed for name, installed in versions.items() if installed is not None}


@cache
def installed_version(name: str) -> str | None:
    """Return the installed version of a package; None without one."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _problem_of(requirement: Requirement) -> str | None:
    if requirement.marker is not None and not requirement.marker.evaluate():
        return None
    installed = installed_version(requirement.name)
    if installed is None:
        return f"{requirement} is not installed"
    if not requirement.specifier.contains(installed, prereleases=True):
        return f"{requirement} is required, and {installed} is installed"
    return None
