from __future__ import annotations

import subprocess
import sys
import time

import pytest

from include.serving.controller import processes
from include.serving.controller.fleet import Fleet
from include.serving.gateway.config import Server

ONE = ("delay", 1)


@pytest.fixture
def fleet(make_model, database_url, monkeypatch):
    monkeypatch.setenv("AIRWORTHY_DATABASE_URL", database_url)
    make_model("delay", 1)
    built = Fleet(grace=0.3)
    yield built
    built.stop()


def turn(fleet: Fleet, until, seconds: float = 30) -> None:
    """Step as the controller does, until something holds."""
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, [(each.reason) for each in fleet._instances.values()]
        fleet.step()
        time.sleep(0.05)


def test_a_version_lives_from_wanted_to_unwanted(fleet) -> None:
    fleet.set_desired({ONE})
    assert fleet.servers() == []
    turn(fleet, fleet.ready)
    (server,) = fleet.servers()
    process = fleet.get(*ONE).process
    process.kill()
    turn(fleet, lambda: not fleet.ready())
    assert fleet.servers() == [server]  # it will be back at the same address
    turn(fleet, fleet.ready)
    assert fleet.servers() == [server]
    fleet.set_desired(set())
    assert fleet.servers() == [server]  # in its grace
    time.sleep(0.4)
    fleet.set_desired(set())
    assert fleet.servers() == []
    turn(fleet, lambda: not list(processes.find_servers()))


def test_another_fleet_takes_over_what_runs_and_keeps_addresses_of_what_does_not(fleet) -> None:
    fleet.set_desired({ONE})
    turn(fleet, fleet.ready)
    (server,) = fleet.servers()
    pid = fleet.get(*ONE).process.pid
    heir = Fleet()
    gone = Server("delay", 2, server.port + 1)
    heir.adopt([server, gone])
    assert sorted(heir.servers()) == [server, gone]
    turn(heir, heir.ready)
    assert heir.get(*ONE).process.pid == pid


def test_a_second_process_of_a_version_is_ended(fleet) -> None:
    fleet.set_desired({ONE})
    turn(fleet, fleet.ready)
    (server,) = fleet.servers()
    second = processes.start_server(Server("delay", 1, server.port + 1))
    heir = Fleet()
    heir.adopt([server])
    assert processes.has_ended(second)
    assert heir.get(*ONE).process.pid == fleet.get(*ONE).process.pid


def test_a_server_that_cannot_start_says_why_and_is_tried_ever_less(fleet, make_model) -> None:
    make_model("delay", 3, model=Unloadable())
    fleet.set_desired({("delay", 3)})
    turn(fleet, lambda: "no such thing" in fleet.get("delay", 3).reason)
    assert fleet.servers() == []


def test_processes_of_other_homes_are_left_alone(home, tmp_path) -> None:
    about = ["include.serving.model_server", "--use-case", "x", "--version", "1", "--port", "1"]
    other = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import time; time.sleep(60)",
            *about,
            "--folder",
            str(tmp_path / "other/models/x/1"),
        ]
    )
    mine = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)", *about, "--folder", str(home / "models/x/1")]
    )
    try:
        assert [process.pid for _, process in processes.find_servers()] == [mine.pid]
    finally:
        for process in (other, mine):
            process.kill()
            process.wait()


class Unloadable:
    def __reduce__(self):
        return (exec, ("raise ImportError('no such thing')",))
