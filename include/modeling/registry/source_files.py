"""Files whose text a model is made of: its declaration, those of its views and datasets, and its code."""

from __future__ import annotations

import ast
import hashlib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from include.catalog import catalog, declaration_module
from include.declarations import Dataset
from include.declarations.metrics import is_own

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from include.declarations import UseCase

REPOSITORY = Path(__file__).parents[3]
# Rooms of declarations and of the modules that they share.
DECLARATION_ROOMS = tuple(REPOSITORY / "include" / room for room in ("use_cases", "features", "datasets"))


def source_digests(use_case: UseCase) -> dict[str, str]:
    """
    Return the SHA-256 of the text of each file that a model of `use_case` is made of, by its path.

    These are the modules of the use case, of its feature views and their datasets, of the label, what they
    import from the rooms of declarations, the modules and packages in `code`, and those of own metrics.
    """
    files: set[Path] = set()
    for module in _modules_of(use_case):
        files.update(_module_files(module))
    pending = list(files)
    while pending:
        imported = set(_imported_files(pending.pop())) - files
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
    for metric in sorted(filter(is_own, use_case.measured_metrics)):
        yield import_module(metric.partition(":")[0])
    pending = [*use_case.feature_views, use_case.label.dataset]
    names: set[str] = set()
    while pending:
        name = pending.pop()
        if name in names:
            continue
        names.add(name)
        declared = catalog().declaration(name)
        if isinstance(declared, Dataset):
            yield declaration_module("datasets", name)
        else:
            yield declaration_module("features", name)
            pending += [source.dataset for source in declared.sources]


def _module_files(module: ModuleType) -> list[Path]:
    file = getattr(module, "__file__", None)
    if file is None:
        return []
    path = Path(file).resolve()
    if hasattr(module, "__path__"):
        return sorted(path.parent.rglob("*.py"))
    return [path]


def _imported_files(path: Path) -> Iterator[Path]:
    """Yield the files in the rooms of declarations that a file imports, also those inside of functions."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        for location in _imported_locations(node, path):
            module = location.with_suffix(".py")
            if module.is_file() and _is_declared(module):
                yield module
            elif (location / "__init__.py").is_file() and _is_declared(location):
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


def _is_declared(location: Path) -> bool:
    """Return whether a module or package lies within a room of declarations; a whole room does not."""
    return any(room in location.parents for room in DECLARATION_ROOMS)


def _shown_path(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix() if path.is_relative_to(REPOSITORY) else str(path)


def _digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
