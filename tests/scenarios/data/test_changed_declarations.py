"""Declarations are added, changed and removed while a process reads the catalogue."""

from __future__ import annotations

import multiprocessing
import os
from itertools import count
from textwrap import dedent

import pytest

from include.catalog import PACKAGES, declaration_module, discover
from include.errors import UndeclaredError
from include.module_files import ModuleReader
from tests.include.test_catalog import DATASET, GOOD, broken, forget, write_package

NUMBERS = count()
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return the folder of a package of declarations, and a reader of its catalogue."""
    monkeypatch.syspath_prepend(tmp_path)
    root = f"changed_{next(NUMBERS)}"
    write_package(tmp_path / root, GOOD)
    packages = [f"{root}.{kind}" for kind in PACKAGES]
    yield tmp_path / root, ModuleReader(packages, lambda: discover(root))
    forget(root)


def rewrite(path, old, new):
    """Change a file, within the same second and with the same size."""
    state = path.stat()
    assert len(old) == len(new)
    path.write_text(broken(path.read_text(), old, new))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))


def test_unchanged_files_are_read_once(project):
    _, reader = project
    assert reader.refresh() is reader.refresh() is reader.current()


def test_catalogue_of_a_process_stays_until_it_is_refreshed(project):
    folder, reader = project
    assert reader.current().datasets["sales"].owner == "ann"
    rewrite(folder / "datasets/sales.py", 'owner="ann"', 'owner="bob"')
    assert reader.current().datasets["sales"].owner == "ann"
    assert reader.refresh().datasets["sales"].owner == "bob"
    assert reader.current().datasets["sales"].owner == "bob"


def test_added_and_removed_files_are_seen(project):
    folder, reader = project
    assert set(reader.current().datasets) == {"results", "sales"}
    (folder / "datasets/returns.py").write_text(dedent(DATASET.format(name="returns")))
    assert set(reader.refresh().datasets) == {"results", "returns", "sales"}
    (folder / "datasets/returns.py").unlink()
    assert set(reader.refresh().datasets) == {"results", "sales"}


def test_broken_file_keeps_only_its_own_declaration_out(project):
    folder, reader = project
    reader.current()
    (folder / "use_cases/other.py").write_text("USE_CASE = (")
    refreshed = reader.refresh()
    assert set(refreshed.use_cases) == {"price"}
    assert refreshed.problems[0].startswith("use_cases/other.py: SyntaxError")
    with pytest.raises(UndeclaredError, match=r"other is invalid: correct .*use_cases/other.py: SyntaxError"):
        refreshed.use_cases["other"]


def test_functions_come_from_the_present_module(project):
    folder, reader = project
    module = folder / "features/sale_features.py"
    module.write_text(module.read_text().replace("...", "return 1"))
    reader.current()
    assert declaration_module("features", "sale_features", folder.name).build({}, None) == 1
    rewrite(module, "return 1", "return 2")
    reader.refresh()
    assert declaration_module("features", "sale_features", folder.name).build({}, None) == 2


def test_module_with_an_underscore_is_no_declaration(project):
    folder, reader = project
    (folder / "datasets/_shared.py").write_text("OWNER = 'ann'")
    assert reader.current().problems == ()


def test_forked_process_reads_what_changed_after_the_fork(project):
    folder, reader = project
    reader.current().datasets["sales"]
    rewrite(folder / "datasets/sales.py", 'owner="ann"', 'owner="bob"')
    receiver, sender = FORK.Pipe()
    child = FORK.Process(target=lambda: sender.send(reader.current().datasets["sales"].owner))
    child.start()
    assert receiver.recv() == "bob"
    child.join()
    assert reader.current().datasets["sales"].owner == "ann"


def test_unknown_name_is_described(project):
    folder, reader = project
    with pytest.raises(UndeclaredError) as caught:
        reader.current().datasets["sails"]
    file = f"{folder.name}/datasets/sails.py"
    assert str(caught.value) == f"sails is not declared: there is no {file}. There are results, sales."
    assert reader.current().datasets.get("sails") is None
