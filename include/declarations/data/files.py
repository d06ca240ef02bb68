"""Files of declarations: those of a kind's own package, and those of use cases that hold all of theirs."""

from __future__ import annotations

import os
import re
from functools import cache
from importlib import import_module
from pathlib import Path

# A file of this package may also declare the dataset and the feature view that its use case needs.
SHARED = "use_cases"
# Declarations have names in capitals.
_ASSIGNMENT = re.compile(r"^([A-Z_]+)\s*[:=]", re.MULTILINE)


def declaring_files(root: str, kind: str, attribute: str) -> list[tuple[str, str]]:
    """
    Return package and name of each file with a declaration of a kind: of its own package, then shared ones.

    Parameters
    ----------
    root
        Package that contains those of declarations, such as `include`.
    kind
        Package of this kind, such as `datasets`.
    attribute
        Name that a declaration of this kind has in its module, such as `DATASET`.
    """
    files = [(kind, name) for name in _modules(f"{root}.{kind}")]
    if kind == SHARED:
        return files
    for name, path in _modules(f"{root}.{SHARED}").items():
        state = os.stat(path)  # noqa: PTH116  Path.stat() takes three times as long for each of many files
        # The text says whether a file is needed, so that datasets do not wait for the imports of use cases.
        if attribute in _assigned_names(path, state.st_mtime_ns, state.st_size):
            files.append((SHARED, name))
    return files


def _modules(package: str) -> dict[str, str]:
    """Return the files of the modules of a package by name, in the order of the names."""
    modules: dict[str, str] = {}
    for folder in import_module(package).__path__:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name.removesuffix(".py")
                path = entry.path if name != entry.name else f"{entry.path}/__init__.py"
                # A module whose name begins with an underscore is shared by declarations.
                if name.startswith("_") or "." in name:
                    continue
                if path == entry.path or Path(path).exists():
                    modules.setdefault(name, path)
    return dict(sorted(modules.items()))


@cache
def _assigned_names(path: str, _changed: int, _size: int) -> frozenset[str]:
    """Return the names in capitals that a file of this time of change, in ns, and size assigns."""
    return frozenset(_ASSIGNMENT.findall(Path(path).read_text(errors="replace")))
