"""Where the serving plane keeps its sockets, models, routes and logs."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

from include.errors import SettingsError
from include.settings import settings

LONGEST_SOCKET = 90  # the kernel's limit is 107, and HAProxy binds a longer name first and renames it


def socket_path(name: str) -> Path:
    """
    Return where the Unix socket `name` lies: below the home, or in a short private folder if that is odd.

    :raises SettingsError: if the short folder belongs to somebody else
    """
    path = settings().root / "run" / name
    if len(os.fsencode(path)) <= LONGEST_SOCKET and re.fullmatch(r"[\w./-]+", str(path), re.ASCII):
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
    key = hashlib.sha256(os.fsencode(settings().root)).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"airworthy-{os.getuid()}-{key}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise SettingsError(f"{folder} is not private to this user: remove it, or shorten AIRWORTHY_HOME.")
    return folder / name


def haproxy_folder() -> Path:
    """Return the folder of HAProxy's configuration and map."""
    return settings().root / "haproxy"


def model_folder(use_case: str, version: int) -> Path:
    """Return where the files of a version are kept."""
    return settings().root / "models" / use_case / str(version)


def shadow_file(use_case: str) -> Path:
    """Return the file that says where the champion of a use case sends copies."""
    return settings().root / "run" / "shadow" / f"{use_case}.json"


def spool_folder() -> Path:
    """Return where the inference log waits while the database is away."""
    return settings().root / "spool" / "inference_log"


def log_file(use_case: str, version: int) -> Path:
    """Return where a model server writes what it has to say."""
    return settings().root / "logs" / "model_servers" / f"{use_case}.{version}.log"
