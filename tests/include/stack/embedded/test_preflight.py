from __future__ import annotations

import os
import shutil
import socket
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from include.errors import SettingsError
from include.stack.embedded import preflight

VersionInfo = namedtuple("VersionInfo", "major minor micro releaselevel serial")
Usage = namedtuple("Usage", "total used free")


def test_machine_without_problems_passes(chosen):
    preflight.check_machine(chosen)


def test_taken_port_is_named_with_its_owner_and_variable(chosen):
    with socket.create_server(("127.0.0.1", chosen.mlflow_port)), pytest.raises(SettingsError) as caught:
        preflight.check_machine(chosen)
    message = str(caught.value)
    assert f"Port {chosen.mlflow_port} is taken" in message
    assert f"(process {os.getpid()})" in message
    assert "AIRWORTHY_MLFLOW_PORT" in message


def test_port_that_was_just_closed_is_not_taken(chosen):
    with socket.create_server(("127.0.0.1", chosen.mlflow_port)) as server:
        client = socket.create_connection(server.getsockname())
        connection, _ = server.accept()
        connection.close()  # the server's side closes first and lingers in TIME_WAIT
        client.close()
    preflight.check_machine(chosen)


def test_two_services_on_one_port_are_both_named(chosen):
    repeated = chosen.model_copy(update={"mlflow_port": chosen.airflow_port})
    with pytest.raises(SettingsError, match=r"AIRWORTHY_MLFLOW_PORT and AIRWORTHY_AIRFLOW_PORT are both"):
        preflight.check_machine(repeated)


def test_every_problem_is_reported_at_once(chosen):
    with (
        socket.create_server(("127.0.0.1", chosen.mlflow_port)),
        socket.create_server(("127.0.0.1", chosen.gateway_port)),
        pytest.raises(SettingsError, match=r"(?s)AIRWORTHY_MLFLOW_PORT.*AIRWORTHY_GATEWAY_PORT"),
    ):
        preflight.check_machine(chosen)


def test_nearly_full_disk_is_reported(chosen, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 10**12, 1024**3))
    with pytest.raises(SettingsError, match=r"Only 1\.0 GB are free.*2 GB"):
        preflight.check_machine(chosen)


@pytest.mark.parametrize("version", [(3, 10, 9), (3, 13, 0)])
def test_unsupported_python_is_reported(chosen, monkeypatch, version):
    monkeypatch.setattr(sys, "version_info", VersionInfo(*version, "final", 0))
    with pytest.raises(SettingsError, match=r"is not supported: use 3\.11 or 3\.12"):
        preflight.check_machine(chosen)


def test_home_that_is_a_file_is_reported(chosen):
    chosen.root.touch()
    with pytest.raises(SettingsError, match=r"cannot be written.*AIRWORTHY_HOME"):
        preflight.check_machine(chosen)


def test_home_too_long_for_sockets_is_reported(chosen):
    deep = chosen.model_copy(update={"home": Path("/tmp") / ("x" * 80)})
    with pytest.raises(SettingsError, match="too long for the sockets"):
        preflight.check_machine(deep)


def test_missing_haproxy_is_reported_with_the_command(chosen, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SettingsError, match="sudo apt-get install --yes haproxy"):
        preflight.check_machine(chosen)
