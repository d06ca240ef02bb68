"""The secrets of one embedded stack: generated once, kept in one file that only its owner reads."""

from __future__ import annotations

import json
import os
import secrets
import stat
from base64 import urlsafe_b64encode
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from tempfile import mkstemp

FILE = "secrets.env"
PRIVATE = 0o600


def _password() -> str:
    return secrets.token_urlsafe(24)


def _signing_secret() -> str:
    return secrets.token_urlsafe(64)  # as long as the hash that Airflow signs with


def _fernet_key() -> str:
    return urlsafe_b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True, slots=True)
class Credentials:
    """A password for each database role, and the keys Airflow signs and encrypts with."""

    postgres_password: str = field(default_factory=_password, repr=False)
    airflow_password: str = field(default_factory=_password, repr=False)
    mlflow_password: str = field(default_factory=_password, repr=False)
    airworthy_password: str = field(default_factory=_password, repr=False)
    fernet_key: str = field(default_factory=_fernet_key, repr=False)
    jwt_secret: str = field(default_factory=_signing_secret, repr=False)
    api_secret_key: str = field(default_factory=_password, repr=False)


def load_credentials(home: Path) -> Credentials:
    """Return the stack's credentials; what is missing is generated and kept, what is there stays."""
    known = _read_file(home)
    names = {entry.name for entry in fields(Credentials)}
    credentials, file = Credentials(**{name: known[name] for name in names & known.keys()}), home / FILE
    if names - known.keys():
        write_private(file, "".join(f"{name.upper()}={one}\n" for name, one in asdict(credentials).items()))
    elif stat.S_IMODE(file.stat().st_mode) != PRIVATE:
        file.chmod(PRIVATE)
    return credentials


def database_password(home: Path) -> str:
    """Return the password of the role `airworthy`; empty before the stack was first started."""
    return _read_file(home).get("airworthy_password", "")


def admin_login(home: Path) -> tuple[str, str]:
    """Return name and password of the UI's administrator, who may change the latter in the file."""
    path = password_file(home)
    if not path.exists():
        write_private(path, json.dumps({"admin": _password()}) + "\n")
    passwords: dict[str, str] = json.loads(path.read_text())
    return "admin", passwords["admin"]


def password_file(home: Path) -> Path:
    """Return where the passwords of Airflow's users lie, in the format of its simple auth manager."""
    return home / "airflow" / "passwords.json"


def write_private(path: Path, text: str) -> None:
    """Replace a file by one that only its owner reads, whole or not at all, whoever else does so too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = mkstemp(dir=path.parent, prefix=f".{path.name}.")  # one of its own, of mode 600
    new = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _read_file(home: Path) -> dict[str, str]:
    try:
        lines = (home / FILE).read_text().splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {name.lower(): value for name, _, value in pairs}
