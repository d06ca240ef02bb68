"""The secrets of docker-compose.yaml, generated into one file."""

from __future__ import annotations

import os
import secrets
from dataclasses import asdict
from pathlib import Path

from include.credentials import Credentials
from include.errors import SettingsError

FILE = Path(".env")


def variables() -> dict[str, str]:
    """Generate every secret that the services need, in characters that are allowed in a URL."""
    shared = {name.upper(): value for name, value in asdict(Credentials()).items()}
    return shared | {
        "REDIS_PASSWORD": secrets.token_urlsafe(24),
        "S3_ACCESS_KEY": secrets.token_hex(10),
        "S3_SECRET_KEY": secrets.token_urlsafe(30),
        "ADMIN_PASSWORD": secrets.token_urlsafe(18),
        "GRAFANA_PASSWORD": secrets.token_urlsafe(18),
    }


def write_env_file(path: Path = FILE) -> None:
    """
    Write the secrets into a new file that only its owner can read.

    Raises
    ------
    SettingsError
        If the file exists, since the databases and volumes were made with its secrets.
    """
    lines = "".join(f"{name}={value}\n" for name, value in variables().items())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise SettingsError(
            f"{path} exists, and the databases and volumes were made with its secrets. To start over, "
            "remove both: `docker compose down --volumes`, then delete the file."
        ) from error
    with os.fdopen(descriptor, "w") as file:
        file.write(lines)
