"""The layout of the tests: each test file has the path of its module or is in `tests/scenarios`."""

from __future__ import annotations

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
# The folders whose tests mirror a source folder.
MIRRORS = {"tests/include": "include", "tests/plugins": "plugins"}


def find_strays(repository: Path) -> list[str]:
    """Return the test files without a module; `tests/include/a/test_b.py` belongs to `include/a/b.py`."""
    strays = []
    for tests, root in MIRRORS.items():
        for file in (repository / tests).rglob("test_*.py"):
            folder = repository / root / file.parent.relative_to(repository / tests)
            name = file.stem.removeprefix("test_")
            # A module, the module that runs a package, or a package.
            sources = (f"{name}.py", f"__{name}__.py", f"{name}/__init__.py")
            if not any((folder / source).exists() for source in sources):
                strays.append(str(file.relative_to(repository)))
    return sorted(strays)


def test_each_test_file_of_the_repository_has_its_module():
    assert find_strays(REPOSITORY) == [], "rename each file after its module, or move it to tests/scenarios"


@pytest.mark.parametrize(
    "name", ["tests/include/a/test_c.py", "tests/include/test_b.py", "tests/plugins/test_a.py"]
)
def test_test_file_without_a_module_is_found(tmp_path, name):
    write(tmp_path, "include/a/__init__.py", "include/a/b.py", "plugins/p/q.py")
    write(tmp_path, "tests/include/a/test_b.py", "tests/include/test_a.py", "tests/plugins/p/test_q.py")
    write(tmp_path, "tests/include/a/conftest.py", "tests/scenarios/test_story.py")
    assert find_strays(tmp_path) == []
    write(tmp_path, name)
    assert find_strays(tmp_path) == [name]


def write(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
