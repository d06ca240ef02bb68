"""Code and packages that a version was trained with: a worktree of its commit, and its locked packages."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

from filelock import FileLock

from include.errors import SettingsError
from include.modeling.registry.provenance import REPOSITORY, lock_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from include.certificates.certificate import Certificate

    # Returns the interpreter with the packages of a lock file; arguments: lock, version of Python, folder.
    InstallLock = Callable[[Path, str, Path], Path]

LOCK = "requirements.txt"
COMMIT = re.compile(r"[0-9a-f]{40}")
# Written once all packages are installed.
COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class PastEnvironment:
    """The code and packages of a version: a folder with its commit, and an interpreter with its packages."""

    folder: Path
    python: Path

    def run(self, arguments: Sequence[str], variables: dict[str, str]) -> int:
        """Run a command of `airworthy` with this code and these packages; return its exit code."""
        path = os.pathsep.join([str(self.folder), str(self.folder / "plugins")])
        environment = {name: value for name, value in os.environ.items() if name != "AIRWORTHY_CODE_VERSION"}
        # As tasks run: another number of threads may add in another order.
        threads = {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [str(self.python), "-m", "include.cli", *arguments]
        completed = subprocess.run(  # noqa: S603  fixed words and checked names
            command, cwd=self.folder, env=environment | threads | variables, check=False
        )
        return completed.returncode


@contextmanager
def past_environment(
    certificate: Certificate,
    environments: Path,
    *,
    repository: Path = REPOSITORY,
    install: InstallLock | None = None,
) -> Iterator[PastEnvironment]:
    """
    Yield the code and packages that a version was trained with; the code is removed at the end.

    Parameters
    ----------
    certificate
        Certificate of the version.
    environments
        Folder of installed packages, by lock and version of Python; they are kept for the next time.
    repository
        Git repository of the project.
    install
        Installs a lock. By default uv, or the present interpreter if its lock and version are the certified
        ones.

    Raises
    ------
    SettingsError
        If the commit or its lock cannot be had; the message says what to do.
    """
    commit = _require_commit(certificate, repository)
    with tempfile.TemporaryDirectory(prefix="airworthy-") as temporary:
        folder = Path(temporary) / "code"
        _git(repository, "worktree", "add", "--detach", str(folder), commit)
        try:
            lock = folder / LOCK
            version = _require_environment(certificate, lock)
            yield PastEnvironment(folder, (install or install_lock)(lock, version, environments))
        finally:
            _git(repository, "worktree", "remove", "--force", str(folder), check=False)


def install_lock(lock: Path, python_version: str, environments: Path) -> Path:
    """
    Return an interpreter of this version with exactly the packages of a lock.

    Raises
    ------
    SettingsError
        If uv is missing, or cannot install them.
    """
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if digest == lock_hash() and python_version == ".".join(map(str, sys.version_info[:3])):
        return Path(sys.executable)
    folder = environments / f"{digest[:16]}-{python_version}"
    python = folder / "bin" / "python"
    environments.mkdir(parents=True, exist_ok=True)
    # Of two processes, one installs, and the other one finds what is installed.
    with FileLock(f"{folder}.lock", fallback_to_soft=False):
        if not (folder / COMPLETE).exists():
            _uv("venv", "--clear", "--python", python_version, str(folder))
            _uv("pip", "sync", "--python", str(python), str(lock))
            (folder / COMPLETE).touch()
    return python


def _require_commit(certificate: Certificate, repository: Path) -> str:
    """Return the certified commit, if it says what the code was and the repository has it."""
    version = certificate.code_version
    if not COMMIT.fullmatch(version):
        raise SettingsError(
            f"The version was trained with the code {version!r}, which is no commit: files had changes that "
            "were not committed, or there was no repository. Use --here to train with the present code."
        )
    if not (repository / ".git").exists():
        raise SettingsError(f"{repository} is no Git repository: run this in a clone of the project.")
    if _git(repository, "cat-file", "-e", f"{version}^{{commit}}", check=False).returncode:
        raise SettingsError(f"The repository {repository} has no commit {version}: fetch it.")
    return version


def _require_environment(certificate: Certificate, lock: Path) -> str:
    """Return the certified version of Python, if the commit's lock is the certified one."""
    remedy = "Use --here with the environment of the training."
    if not lock.is_file():
        commit = certificate.code_version
        raise SettingsError(f"The commit {commit} has no {LOCK}: what was installed is unknown. {remedy}")
    if hashlib.sha256(lock.read_bytes()).hexdigest() != certificate.lock_hash:
        raise SettingsError(
            f"{LOCK} of the commit {certificate.code_version} is not the certified one, "
            f"{certificate.lock_hash[:12]}…: the version was trained in another environment. {remedy}"
        )
    version = certificate.environment.get("python", "")
    if not version:
        raise SettingsError(f"The certificate names no version of Python. {remedy}")
    return version


def _git(repository: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    git = which("git")
    if git is None:
        raise SettingsError("git is not installed; it checks out the code of a version.")
    return _run([git, "-C", str(repository), *arguments], check=check)


def _uv(*arguments: str) -> None:
    own = Path(sys.prefix) / "uv" / "bin" / "uv"
    uv = str(own) if own.exists() else which("uv")
    if uv is None:
        raise SettingsError("uv is not installed; it installs the packages of a version. Run `make dev`.")
    _run([uv, *arguments])


def _run(command: list[str], *, check: bool = True) -> subprocess.CompletedProcess[str]:
    variables = os.environ | {"UV_SYSTEM_CERTS": "true"}
    result = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)  # noqa: S603
    if check and result.returncode:
        raise SettingsError(f"`{' '.join(command)}` failed: {result.stderr.strip()}")
    return result
