from __future__ import annotations

import sys
from itertools import count

import pytest

from include.declarations.data.files import declaring_files

NUMBERS = count()


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A package with those of declarations."""
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / f"filed_{next(NUMBERS)}"
    for kind in ("datasets", "features", "use_cases"):
        (folder / kind).mkdir(parents=True)
        (folder / kind / "__init__.py").touch()
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == folder.name]:
        del sys.modules[name]


def test_modules_are_files_and_packages_in_order(root):
    for name in ("sales.py", "my-sales.py", "_shared.py", "notes.txt", "v1.2.py"):
        (root / "datasets" / name).touch()
    (root / "datasets/orders").mkdir()
    (root / "datasets/orders/__init__.py").touch()
    (root / "datasets/pictures").mkdir()
    files = declaring_files(root.name, "datasets", "DATASET")
    assert files == [("datasets", name) for name in ("my-sales", "orders", "sales")]


def test_use_case_file_declares_what_it_assigns(root):
    price = root / "use_cases/price.py"
    price.write_text("DATASET: Dataset = 1\nUSE_CASE = 2\n    FEATURE_VIEW = 3\n")
    assert declaring_files(root.name, "datasets", "DATASET") == [("use_cases", "price")]
    assert declaring_files(root.name, "features", "FEATURE_VIEW") == []
    assert declaring_files(root.name, "use_cases", "USE_CASE") == [("use_cases", "price")]


def test_changed_use_case_file_is_read_again(root):
    price = root / "use_cases/price.py"
    price.write_text("USE_CASE = 2")
    assert declaring_files(root.name, "datasets", "DATASET") == []
    price.write_text("DATASET = 1\nUSE_CASE = 2")
    assert declaring_files(root.name, "datasets", "DATASET") == [("use_cases", "price")]
