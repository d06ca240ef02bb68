from __future__ import annotations

import hashlib
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

from include.declarations import DecisionCost, Threshold
from include.modeling.registry import source_files
from include.modeling.registry.source_files import present_digest, source_digests
from include.use_cases.flight_delay import USE_CASE


def test_each_declaration_of_a_model_is_hashed():
    digests = source_digests(USE_CASE)
    assert digests.keys() == {
        "include/datasets/arrivals.py", "include/datasets/flights.py", "include/datasets/weather.py",
        "include/datasets/weather_reports.py", "include/features/airport_weather.py",
        "include/features/flight_features.py", "include/use_cases/flight_delay.py",
    }  # fmt: skip
    path = "include/use_cases/flight_delay.py"
    text = (source_files.REPOSITORY / path).read_bytes()
    assert digests[path] == present_digest(path) == hashlib.sha256(text).hexdigest()
    assert present_digest("include/use_cases/gone.py") == ""


@pytest.fixture
def team(tmp_path, monkeypatch):
    """Return the folder of a use case that shares a module with others, in a repository of its own."""
    room = tmp_path / "include" / "use_cases"
    room.mkdir(parents=True)
    (room / "rentals.py").write_text("from include.use_cases import _shared")
    (room / "_shared.py").write_text("def late():\n    import include.use_cases._deeper")
    (room / "_deeper.py").write_text("LIMIT = 3")
    (room / "_other.py").write_text("")
    monkeypatch.setattr(source_files, "REPOSITORY", tmp_path)
    monkeypatch.setattr(source_files, "DECLARATION_ROOMS", (room,))
    module = ModuleType("include.use_cases.rentals")
    module.__file__ = str(room / "rentals.py")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return room


def test_shared_modules_and_code_are_hashed_too(team, tmp_path, monkeypatch):
    package = ModuleType("pricing")
    package.__file__ = str(tmp_path / "pricing" / "__init__.py")
    package.__path__ = [str(tmp_path / "pricing")]
    (tmp_path / "pricing").mkdir()
    for name in ("__init__", "rates"):
        (tmp_path / "pricing" / f"{name}.py").write_text(name)
    monkeypatch.setitem(sys.modules, "pricing", package)
    digests = source_digests(USE_CASE.model_copy(update={"name": "rentals", "code": ("pricing",)}))
    own = {path for path in digests if not path.startswith("/")}
    assert own == {
        "include/use_cases/rentals.py", "include/use_cases/_shared.py", "include/use_cases/_deeper.py",
        "pricing/__init__.py", "pricing/rates.py",
    }  # fmt: skip


def test_relative_imports_and_packages_are_hashed_too(team):
    (team / "rentals.py").write_text(
        "from . import _shared\nfrom .rates import day\nimport include.use_cases"
    )
    (team / "rates").mkdir()
    (team / "rates" / "__init__.py").write_text("")
    (team / "rates" / "day.py").write_text("from .. import _above")
    (team / "_above.py").write_text("from ...outside import other")
    (team / "__init__.py").write_text("")
    (team.parent / "__init__.py").write_text("")
    (team.parent / "outside.py").write_text("")
    digests = source_digests(USE_CASE.model_copy(update={"name": "rentals"}))
    own = {path.removeprefix("include/use_cases/") for path in digests if not path.startswith("/")}
    assert own == {
        "rentals.py", "_shared.py", "_deeper.py", "_above.py", "rates/__init__.py", "rates/day.py",
    }  # fmt: skip


@pytest.fixture
def refunds(team, monkeypatch):
    """Return the folder of functions that use cases name by import path, in the team's repository."""
    folder = team.parent / "my"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "costs.py").write_text(
        "from include.my.rates import RATE\nfrom include.errors import DataError\n"
        "def refund(rows):\n    return rows['fare'] * RATE"
    )
    (folder / "rates.py").write_text("RATE = 0.5")
    (folder / "other.py").write_text("")
    (team.parent / "errors.py").write_text("class DataError(Exception): ...")
    for name in ("include.my", "include.my.costs"):
        spec = ModuleSpec(name, None, origin="a test")
        module = ModuleType(name)
        module.__spec__ = spec
        module.__file__ = str(folder / "costs.py")
        monkeypatch.setitem(sys.modules, name, module)
    return folder


@pytest.mark.parametrize(
    "changes",
    [
        {"cost": DecisionCost(currency="USD", false_positive=1, false_negative="include.my.costs:refund")},
        {"gates": (Threshold.model_construct(metric="include.my.costs:refund", minimum=0.1),)},
    ],
    ids=["cost", "gate"],
)
def test_what_is_named_by_import_path_is_hashed(refunds, changes):
    digests = source_digests(USE_CASE.model_copy(update={"name": "rentals", **changes}))
    assert {path for path in digests if path.startswith("include/my/")} == {
        "include/my/costs.py", "include/my/rates.py",
    }  # fmt: skip
    assert "include/errors.py" not in digests
    (refunds / "rates.py").write_text("RATE = 0.6")
    changed = source_digests(USE_CASE.model_copy(update={"name": "rentals", **changes}))
    assert {path for path in digests if digests[path] != changed[path]} == {"include/my/rates.py"}


def test_text_like_an_import_path_names_no_module(team):
    digests = source_digests(USE_CASE.model_copy(update={"name": "rentals", "description": "json:tool"}))
    assert not any("json" in path for path in digests)
