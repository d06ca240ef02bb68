"""Files whose text a model is made of: its declaration, those of its views and datasets, and its code."""

from __future__ import annotations

import ast
import hashlib
import re
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from include.catalog import catalog, declaration_module
from include.declarations import Dataset

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from types import ModuleType
    from typing import Any

    from include.declarations import UseCase
    from include.declarations.base import Declaration

REPOSITORY = Path(__file__).parents[3]
IMPORT_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
# Rooms of declarations and of the modules that they share.
DECLARATION_ROOMS = tuple(REPOSITORY / "include" / room for room in ("use_cases", "features", "datasets"))


def source_digests(use_case: UseCase) -> dict[str, str]:
    """
    Return the SHA-256 of the text of each file that a model of `use_case` is made of, by its path.

    These are the modules of the use case, of its feature views and their datasets and of the label, those
    that they name by import path (costs, metrics, sources, expectations), the modules and packages in `code`,
    and what all of these import from the rooms of declarations and from their own folders.
    """
    files: set[Path] = set()
    rooms = set(DECLARATION_ROOMS)
    for module in _modules_of(use_case):
        module_files = _module_files(module)
        files.update(module_files)
        rooms.update(path.parent for path in module_files)
    # The packages `include` and the repository hold more than a team's code.
    rooms -= {REPOSITORY, REPOSITORY / "include"}
    pending = list(files)
    while pending:
        imported = set(_imported_files(pending.pop(), rooms)) - files
        files |= imported
        pending += imported
    return {_shown_path(path): _digest_of(path) for path in sorted(files)}


def present_digest(path: str) -> str:
    """Return the SHA-256 of a file that a certificate names, as it is now; empty if it is gone."""
    file = REPOSITORY / path
    return _digest_of(file) if file.is_file() else ""


def _modules_of(use_case: UseCase) -> Iterator[ModuleType]:
    yield declaration_module("use_cases", use_case.name)
    for name in use_case.code:
        yield import_module(name)
    yield from _named_modules(use_case)
    pending = [*use_case.feature_views, use_case.label.dataset]
    names: set[str] = set()
    while pending:
        name = pending.pop()
        if name in names:
            continue
        names.add(name)
        declared = catalog().declaration(name)
        yield from _named_modules(declared)
        if isinstance(declared, Dataset):
            yield declaration_module("datasets", name)
        else:
            yield declaration_module("features", name)
            pending += [source.dataset for source in declared.sources]


def _named_modules(declaration: Declaration) -> Iterator[ModuleType]:
    """Yield the modules of all that a declaration names by import path, such as the function of a cost."""
    paths = filter(IMPORT_PATH.fullmatch, _nested_texts(declaration.model_dump(serialize_as_any=True)))
    names = {path.partition(":")[0] for path in paths}
    # Another text may look like an import path.
    yield from (import_module(name) for name in sorted(names) if _exists(name))


def _nested_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _nested_texts(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _nested_texts(item)


def _exists(module: str) -> bool:
    if module.partition(".")[0] in sys.stdlib_module_names:
        return False
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _module_files(module: ModuleType) -> list[Path]:
    file = getattr(module, "__file__", None)
    if file is None:
        return []
    path = Path(file).resolve()
    if hasattr(module, "__path__"):
        return sorted(path.parent.rglob("*.py"))
    return [path]


def _imported_files(path: Path, rooms: Collection[Path]) -> Iterator[Path]:
    """Yield the files in `rooms` that a file imports, also those that it imports inside of functions."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        for location in _imported_locations(node, path):
            module = location.with_suffix(".py")
            if module.is_file() and _is_in_rooms(module, rooms):
                yield module
            elif (location / "__init__.py").is_file() and _is_in_rooms(location, rooms):
                yield from sorted(location.rglob("*.py"))


def _imported_locations(node: ast.AST, path: Path) -> Iterator[Path]:
    """Yield where the modules and packages of an import of the file `path` would be, without a suffix."""
    if isinstance(node, ast.Import):
        yield from (REPOSITORY.joinpath(*alias.name.split(".")) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        # One dot is the folder of the file, each further one the folder above.
        base = path.parents[node.level - 1] if node.level else REPOSITORY
        base = base.joinpath(*(node.module or "").split("."))
        yield from (base, *(base / alias.name for alias in node.names))


def _is_in_rooms(location: Path, rooms: Collection[Path]) -> bool:
    """Return whether a module or package lies within a room; a whole room does not."""
    return any(room in location.parents for room in rooms)


def _shown_path(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix() if path.is_relative_to(REPOSITORY) else str(path)


def _digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
