from __future__ import annotations

import subprocess
import sys
import time

import pytest

from include.serving.controller import processes
from include.serving.controller.fleet import Fleet
from include.serving.gateway.config import Server

VERSION = ("delay", 1)


@pytest.fixture
def fleet(make_model, database_url, monkeypatch):
    monkeypatch.setenv("AIRWORTHY_DATABASE_URL", database_url)
    make_model("delay", 1)
    built = Fleet(drain_seconds=0.3)
    yield built
    built.stop()


def step_until(fleet: Fleet, condition, seconds: float = 60) -> None:
    """Call `step` as the controller does, until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, [instance.reason for instance in fleet._instances.values()]
        fleet.step()
        time.sleep(0.05)


def test_a_server_runs_while_its_version_is_desired(fleet) -> None:
    fleet.set_desired({VERSION: 1})
    assert fleet.servers() == []
    step_until(fleet, fleet.ready)
    (server,) = fleet.servers()
    process = fleet.replicas(*VERSION)[0].process
    (sample,) = fleet.memory()
    assert (sample["use_case"], sample["version"], sample["replica"]) == ("delay", 1, 1)
    assert sample["bytes"] > 10e6
    process.kill()
    step_until(fleet, lambda: not fleet.ready())
    assert fleet.memory() == []
    # The replacement gets the same address.
    assert fleet.servers() == [server]
    step_until(fleet, fleet.ready)
    assert fleet.servers() == [server]
    fleet.set_desired({})
    assert fleet.servers() == [server]

    def is_drained() -> bool:
        fleet.end_drained()
        return fleet.servers() == []

    step_until(fleet, is_drained)
    step_until(fleet, lambda: not list(processes.find_servers()))


def test_another_fleet_adopts_servers_and_addresses(fleet) -> None:
    fleet.set_desired({VERSION: 1})
    step_until(fleet, fleet.ready)
    (server,) = fleet.servers()
    pid = fleet.replicas(*VERSION)[0].process.pid
    successor = Fleet()
    without_process = Server("delay", 2, server.port + 1)
    successor.adopt([server, without_process])
    assert sorted(successor.servers()) == [server, without_process]
    step_until(successor, successor.ready)
    assert successor.replicas(*VERSION)[0].process.pid == pid


def test_a_second_process_of_a_version_is_ended(fleet) -> None:
    fleet.set_desired({VERSION: 1})
    step_until(fleet, fleet.ready)
    (server,) = fleet.servers()
    second = processes.start_server(Server("delay", 1, server.port + 1))
    successor = Fleet()
    successor.adopt([server])
    assert processes.has_ended(second)
    assert successor.replicas(*VERSION)[0].process.pid == fleet.replicas(*VERSION)[0].process.pid


def test_a_server_that_cannot_start_reports_the_reason(fleet, make_model) -> None:
    make_model("delay", 3, model=Unloadable())
    fleet.set_desired({("delay", 3): 1})
    step_until(fleet, lambda: "no such thing" in fleet.replicas("delay", 3)[0].reason)
    assert fleet.servers() == []


def test_a_replica_too_many_is_drained_without_requests(fleet) -> None:
    fleet.set_desired({VERSION: 2})
    step_until(fleet, lambda: len(fleet.ready()) == 2)
    assert sorted(server.replica for server in fleet.servers()) == [1, 2]
    assert len({server.port for server in fleet.servers()}) == 2
    fleet.set_desired({VERSION: 1})
    assert [server.replica for server in fleet.servers()] == [1]
    assert len(list(processes.find_servers())) == 2

    def is_drained() -> bool:
        fleet.end_drained()
        return len(list(processes.find_servers())) == 1

    step_until(fleet, is_drained)
    assert [instance.replica for instance in fleet.replicas(*VERSION)] == [1]


class Unloadable:
    def __reduce__(self):
        return (exec, ("raise ImportError('no such thing')",))


def test_processes_of_other_homes_are_not_found(home, tmp_path) -> None:
    other = start_lookalike(tmp_path / "other/models/x/1")
    own = start_lookalike(home / "models/x/1")
    try:
        assert [process.pid for _, process in processes.find_servers()] == [own.pid]
    finally:
        for process in (other, own):
            process.kill()
            process.wait()


def start_lookalike(folder) -> subprocess.Popen:
    """Start a process with the command line of a model server."""
    options = ["--use-case", "x", "--version", "1", "--port", "1", "--folder", str(folder)]
    program = "import time; time.sleep(60)"
    return subprocess.Popen([sys.executable, "-c", program, "include.serving.model_server", *options])
