from __future__ import annotations

import pytest
from pydantic import ValidationError

from include.declarations import UseCase
from include.declarations.relations.requirements import check_requirements, required_packages
from include.errors import DeclarationError
from include.use_cases.delay_band import USE_CASE


def requiring(*requirements):
    values = {name: getattr(USE_CASE, name) for name in UseCase.model_fields}
    return UseCase(**values | {"requirements": requirements})


def test_installed_package_is_accepted_and_recorded():
    case = requiring("lightgbm>=4", "NumPy", "nowhere; python_version < '3'")
    check_requirements(case)
    assert required_packages(case).keys() == {"lightgbm", "NumPy"}


@pytest.mark.parametrize(
    ("requirement", "problem"),
    [
        ("nowhere-boost>=2", "nowhere-boost>=2 is not installed"),
        ("lightgbm<1", "lightgbm<1 is required, and 4"),
    ],
)
def test_missing_package_says_how_to_install_it(requirement, problem):
    with pytest.raises(DeclarationError, match=f"requirements: {problem}.*uv pip install '{requirement}'"):
        check_requirements(requiring(requirement))


@pytest.mark.parametrize(
    ("requirements", "problem"),
    [
        (("not a name",), "'not a name' names no package"),
        (("a @ https://example.org/a.whl",), "is an address"),
        (("Light_GBM>=4", "light-gbm"), "light-gbm named more than once"),
    ],
)
def test_impossible_requirement_is_refused(requirements, problem):
    with pytest.raises(ValidationError, match=problem):
        requiring(*requirements)
