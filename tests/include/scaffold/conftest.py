"""A model of a stranger's file: planned, and declared in folders of its own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

import include.datasets
import include.use_cases
from include.catalog import discover
from include.scaffold import create
from include.scaffold.tables import read_source_table
from tests.include.scaffold.sample_files import write_customers, write_hourly_counts, write_sensor_readings
from tests.plugins.conftest import pin_catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WRITERS = {
    "bike_rentals": write_hourly_counts, "customers": write_customers, "readings": write_sensor_readings,
}  # fmt: skip


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., create.NewModel]:
    """Return a function that plans a model of one of the files with the guesses."""

    def make(file: str, **requested: str) -> create.NewModel:
        written = WRITERS[file](tmp_path)
        table = read_source_table(str(written))
        return create.plan_model(table, None, lambda name, _, guess: requested.get(name, guess))

    return make


@pytest.fixture
def declared_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Have declarations written into folders of this test, which come before those of the project."""
    before = set(sys.modules)
    for name, package in (("datasets", include.datasets), ("use_cases", include.use_cases)):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(package, "__path__", [str(tmp_path / name), *package.__path__])
    yield tmp_path
    for module in set(sys.modules) - before:
        if module.startswith(("include.datasets.", "include.use_cases.")):
            del sys.modules[module]


@pytest.fixture
def declare_model(
    plan: Callable[..., create.NewModel],
    declared_folders: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Any]:
    """Return a function that writes a model of one of the files, and returns the catalogue with it."""

    def write(file: str, **requested: str) -> Any:
        create.write_model(plan(file, **requested), str(home / "landing"))
        discovered = discover("include")
        pin_catalog(monkeypatch, discovered)
        return discovered

    return write
