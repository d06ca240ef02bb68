"""Paths of the serving plane: sockets, models, routes, spool and logs."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path

from include.errors import SettingsError
from include.settings import settings

# Linux accepts 107 bytes, and HAProxy first binds a longer, temporary name.
MAX_SOCKET_BYTES = 90


def socket_path(name: str) -> Path:
    """
    Return the path of the Unix socket `name` and create its folder.

    The folder is `run` in the home or, if its path is too long or has special characters, a private
    folder with a short name in the system's temporary folder.

    Raises
    ------
    SettingsError
        If the short folder belongs to another user or is open to others.
    """
    path = settings().root / "run" / name
    if len(os.fsencode(path)) <= MAX_SOCKET_BYTES and re.fullmatch(r"[\w./-]+", str(path), re.ASCII):
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
    key = hashlib.sha256(os.fsencode(settings().root)).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"airworthy-{os.getuid()}-{key}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise SettingsError(f"{folder} is not private to this user: remove it, or shorten AIRWORTHY_HOME.")
    return folder / name


def fallback_socket() -> Path:
    """Return the socket of the fallback server."""
    return socket_path("fallback.sock")


def haproxy_folder() -> Path:
    """Return the folder of HAProxy's configuration and map."""
    return settings().root / "haproxy"


def model_folder(use_case: str, version: int) -> Path:
    """Return the folder of a version's files."""
    return settings().root / "models" / use_case / str(version)


def shadow_file(use_case: str) -> Path:
    """Return the file that names the target of the champion's copies."""
    return settings().root / "run" / "shadow" / f"{use_case}.json"


def fallback_file(use_case: str) -> Path:
    """Return the file that says what the fallback server answers while a use case is switched off."""
    return settings().root / "run" / "fallback" / f"{use_case}.json"


def spool_folder() -> Path:
    """Return the folder of the inference log's records while the database cannot be reached."""
    return settings().root / "spool" / "inference_log"


def access_pipe() -> Path:
    """Return the pipe through which HAProxy sends the access log to its collector."""
    return settings().root / "run" / "access_log.pipe"


def access_metrics_file() -> Path:
    """Return the file in which the collector of the access log shows its metrics."""
    return settings().root / "run" / "access_log.prom"


def access_spool_folder() -> Path:
    """Return the folder of the access log's entries that are not in the database yet."""
    return settings().root / "spool" / "access_log"


def make_pipe(path: Path) -> None:
    """Create a named pipe for this user alone, unless it exists; other files with its name are deleted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_fifo():
        return
    path.unlink(missing_ok=True)
    with suppress(FileExistsError):
        os.mkfifo(path, 0o600)


def access_lines_file(use_case: str, version: int, replica: int) -> Path:
    """Return the access log of a model server."""
    return _model_server_log(f"{use_case}.{version}.{replica}.access.jsonl")


def log_file(use_case: str, version: int, replica: int) -> Path:
    """Return the log file of a model server."""
    return _model_server_log(f"{use_case}.{version}.{replica}.log")


def _model_server_log(name: str) -> Path:
    return settings().root / "logs" / "model_servers" / name
