"""The secrets of one embedded stack: generated once, kept in a file that only its owner can read."""

from __future__ import annotations

import json
import secrets
import stat
from base64 import urlsafe_b64encode
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING

from dotenv import dotenv_values

from include.atomic_files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

FILE = "secrets.env"
OWNER_ONLY = 0o600
# Model servers answer requests with the secret in this header only.
GATEWAY_SECRET_HEADER = "X-Airworthy-Secret"  # noqa: S105  a name


def _password() -> str:
    return secrets.token_urlsafe(24)


def _signing_secret() -> str:
    # As long as the hash that Airflow signs with.
    return secrets.token_urlsafe(64)


def _fernet_key() -> str:
    return urlsafe_b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True, slots=True)
class Credentials:
    """Passwords of the database's roles, Airflow's keys, the key of pseudonyms, the secret of the gateway."""

    postgres_password: str = field(default_factory=_password, repr=False)
    airflow_password: str = field(default_factory=_password, repr=False)
    mlflow_password: str = field(default_factory=_password, repr=False)
    airworthy_password: str = field(default_factory=_password, repr=False)
    fernet_key: str = field(default_factory=_fernet_key, repr=False)
    jwt_secret: str = field(default_factory=_signing_secret, repr=False)
    api_secret_key: str = field(default_factory=_password, repr=False)
    pseudonym_key: str = field(default_factory=_password, repr=False)
    gateway_secret: str = field(default_factory=_password, repr=False)


def load_credentials(home: Path) -> Credentials:
    """Return the stack's credentials; those that are missing are generated and written into the file."""
    file = home / FILE
    existing = _read_file(home)
    names = {entry.name for entry in fields(Credentials)}
    credentials = Credentials(**{name: existing[name] for name in names & existing.keys()})
    if names - existing.keys():
        lines = [f"{name.upper()}={value}\n" for name, value in asdict(credentials).items()]
        write_private(file, "".join(lines))
    elif stat.S_IMODE(file.stat().st_mode) != OWNER_ONLY:
        file.chmod(OWNER_ONLY)
    return credentials


def database_password(home: Path) -> str:
    """Return the password of the role `airworthy`; empty before the first start of the stack."""
    return _read_file(home).get("airworthy_password", "")


def pseudonym_key(home: Path) -> str:
    """Return the key of pseudonyms; empty before the first start of the stack."""
    return _read_file(home).get("pseudonym_key", "")


def gateway_secret(home: Path) -> str:
    """Return what the gateway sends to model servers; empty before the first start of the stack."""
    return _read_file(home).get("gateway_secret", "")


def admin_login(home: Path) -> tuple[str, str]:
    """Return name and password of the UI's administrator; the password is read from its file."""
    path = password_file(home)
    if not path.exists():
        write_private(path, json.dumps({"admin": _password()}) + "\n")
    passwords: dict[str, str] = json.loads(path.read_text())
    return "admin", passwords["admin"]


def password_file(home: Path) -> Path:
    """Return the file of the passwords of Airflow's users, in the format of its simple auth manager."""
    return home / "airflow" / "passwords.json"


def write_private(path: Path, text: str) -> None:
    """Replace a file, in one step, by one that only its owner can read; its folder is made if missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text, mode=OWNER_ONLY)


def _read_file(home: Path) -> dict[str, str]:
    values = dotenv_values(home / FILE, interpolate=False)
    return {name.lower(): value for name, value in values.items() if value is not None}
