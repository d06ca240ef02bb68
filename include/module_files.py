"""Files of the modules of some packages: their states, and the modules that were imported from them."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module, invalidate_caches
from importlib.util import cache_from_source, find_spec
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Result = TypeVar("Result")
# Time of change, in ns, and size, in bytes, by path.
FileStates = dict[str, tuple[int, int]]


class ModuleReader(Generic[Result]):
    """
    Reads something from the modules of packages, and reads it again after a file of them changed.

    Within a process `current` returns one result, so that a task begins and ends with the same declarations.
    A forked process reads again what changed after the fork. A process that outlives tasks, such as the
    triggerer, calls `refresh` whenever it begins something.

    Parameters
    ----------
    packages
        Names of the packages.
    read
        Function that imports their modules and returns the result.
    """

    def __init__(self, packages: Sequence[str], read: Callable[[], Result]) -> None:
        self._packages = packages
        self._read = read
        self._results: list[Result] = []
        self._files: FileStates = {}
        self._forget_process()
        os.register_at_fork(after_in_child=self._forget_process)

    def current(self) -> Result:
        """Return the result of this process; it is read when it is first requested."""
        return self._results[0] if self._is_read else self.refresh()

    def refresh(self) -> Result:
        """Return the result of the present files: a new one if a file was added, changed or removed."""
        with self._lock:
            files = file_states(self._packages)
            if not self._results or files != self._files:
                if self._results:
                    forget_modules(self._packages, changed=dict(self._files.items() ^ files.items()))
                self._results = [self._read()]
                self._files = files
            self._is_read = True
            return self._results[0]

    def _forget_process(self) -> None:
        # A thread of the parent may hold the lock during a fork.
        self._lock = RLock()
        self._is_read = False


def file_states(packages: Sequence[str]) -> FileStates:
    """Return the state of each file of a module in these packages; none of a package that does not exist."""
    states: FileStates = {}
    for package in packages:
        spec = find_spec(package.rpartition(".")[0])
        for location in (spec and spec.submodule_search_locations) or ():
            _add_file_states(f"{location}/{package.rpartition('.')[2]}", states)
    return states


def forget_modules(packages: Sequence[str], *, changed: Iterable[str]) -> None:
    """
    Forget the modules of these packages, so that they are imported again.

    Unchanged modules are forgotten too: they may have imported a changed one.

    Parameters
    ----------
    packages
        Names of the packages.
    changed
        Paths of the files that were changed.
    """
    prefixes = tuple(f"{package}." for package in packages)
    for name in [name for name in sys.modules if name in packages or name.startswith(prefixes)]:
        del sys.modules[name]
    invalidate_caches()
    for path in changed:
        # Python compares compiled files by second and size, and a quick edit may change neither.
        with suppress(OSError):
            Path(cache_from_source(path)).unlink(missing_ok=True)


def preload(names: Iterable[str], *, packages: Sequence[str]) -> None:
    """
    Import modules for the forks of this process.

    A fork forgets all modules of `packages` if a file of one of them was changed since, so that it runs their
    current source. A module that cannot be imported is left to the forks, which report the error.

    Parameters
    ----------
    names
        Names of the modules.
    packages
        Names of the packages that they, and what they import, are in.
    """
    for name in names:
        with suppress(Exception):
            import_module(name)
    states = {path: _state(path) for path in _loaded_files(packages)}

    def forget_changed() -> None:
        changed = [path for path, state in states.items() if _state(path) != state]
        if changed:
            forget_modules(packages, changed=changed)

    os.register_at_fork(after_in_child=forget_changed)


def _loaded_files(packages: Sequence[str]) -> list[str]:
    """Return the files of the modules of these packages that this process has imported."""
    modules = [module for name, module in sys.modules.items() if name.partition(".")[0] in packages]
    return [module.__file__ for module in modules if module.__file__]


def _state(path: str) -> tuple[int, int] | None:
    """Return time of change, in ns, and size of a file; None if it does not exist."""
    try:
        state = Path(path).stat()
    except FileNotFoundError:
        return None
    return state.st_mtime_ns, state.st_size


def _add_file_states(folder: str, states: FileStates) -> None:
    # A file may disappear while the folder is read; the next look sees that.
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                state = entry.stat()
                states[entry.path] = (state.st_mtime_ns, state.st_size)
            elif entry.name != "__pycache__" and entry.is_dir():
                _add_file_states(entry.path, states)
