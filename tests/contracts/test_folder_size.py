"""No folder of include/ holds more modules than a reader can survey."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
MAX_MODULES = 14


def large_folders(root: Path) -> dict[str, int]:
    """Return the number of modules of each folder with too many; `__init__.py` is none."""
    modules = [path for path in root.rglob("*.py") if path.name != "__init__.py"]
    counts = Counter(path.parent.relative_to(root).as_posix() for path in modules)
    return {folder: count for folder, count in counts.items() if count > MAX_MODULES}


def test_folders_of_include_are_small():
    assert large_folders(REPOSITORY / "include") == {}


def test_large_folder_is_found_with_its_count(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(MAX_MODULES):
        (folder / f"module_{number}.py").touch()
    (folder / "__init__.py").touch()
    assert large_folders(tmp_path) == {}
    (folder / "another.py").touch()
    assert large_folders(tmp_path) == {"data": 15}
