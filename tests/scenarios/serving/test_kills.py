"""
Rollouts whose processes are killed at every step; the doctor is asked after each kill.

`AIRWORTHY_KILLS=50 .venv/bin/python -m pytest tests/scenarios/serving/test_kills.py` is the long form.
"""

from __future__ import annotations

import operator
import os
import random
import signal
import sys
import threading
import time
from datetime import timedelta

import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from include.database.ledger import Entry, append
from include.governance.doctor import both_logs, checks
from include.governance.doctor.facts import read_models
from include.release import rollout
from include.serving.controller import processes

NAME = "steady"
N_KILLS = int(os.environ.get("AIRWORTHY_KILLS", "5"))
SEED = int(os.environ.get("AIRWORTHY_SEED", "7"))
STEPS = ("begin", "shadow", "canary_25", "canary_100", "end")
# A version that is not needed any more goes on for 15 s, so that callers are never cut off.
DOCTOR_TIMEOUT_S = 180.0
RETRY_S = 0.1


class Rollouts:
    """Rollouts of two versions over each other, whose steps are repeated as Airflow repeats tasks."""

    def __init__(self, plane, rng):
        self.plane = plane
        self.rng = rng
        self.number = 0
        self.lease = None
        self.champion = 1
        self.challenger = 2

    def take(self, step):
        """Take a step, however often the database is away meanwhile."""
        self.number += step == "begin"
        while True:
            try:
                return getattr(self, step)()
            except DBAPIError:
                time.sleep(RETRY_S)

    def begin(self):
        self.lease = rollout.begin(
            self.plane.database, NAME, self.challenger, owner=f"run/{self.number}", actor="ann"
        )

    def shadow(self):
        self._shift(0, 1.0)

    def canary_25(self):
        self._shift(2_500, 0.0)

    def canary_100(self):
        self._shift(10_000, 0.0)

    def end(self):
        """Promote, or, in one of three rollouts, restore."""
        if self.number % 3 == 0:
            owner = f"run/{self.number}"
            rollout.restore(self.plane.database, self.lease, owner=owner, actor="ann", reason="a test")
            return
        rollout.promote(self.plane.database, self.lease, reason="a test", evidence={})
        self.champion = self.lease.version
        self.challenger = 3 - self.lease.version

    def _shift(self, weight, share):
        key = f"{self.number}/{weight}/{share}"
        rollout.shift(
            self.plane.database, self.lease, weight=weight, shadow_share=share, reason="a test", key=key
        )


class Killer:
    """Kills a process, and starts it again as the supervisor of the stack does."""

    def __init__(self, plane, rollouts):
        self.plane = plane
        self.rollouts = rollouts

    def kill(self, target):
        getattr(self, target)()

    def haproxy(self):
        self.plane.haproxy.kill()
        self.plane.haproxy.wait()
        self.plane.start_haproxy()

    def controller(self):
        self.plane.controller.kill()
        self.plane.controller.wait()
        self.plane.start_controller()

    def collector(self):
        self.plane.collector.kill()
        self.plane.collector.wait()
        self.plane.start_collector()

    def champion(self):
        self._kill_server(self.rollouts.champion)

    def challenger(self):
        self._kill_server(self.rollouts.challenger)

    def postgres(self):
        """Kill one backend of the database, after which the server ends all others and recovers."""
        postmaster = psutil.Process(self.plane.postmaster())
        name = self.plane.database.url.database
        backends = [child for child in postmaster.children() if f" {name} " in " ".join(child.cmdline())]
        self.rollouts.rng.choice(backends).send_signal(signal.SIGKILL)

    def _kill_server(self, version):
        for server, process in processes.find_servers():
            if (server.use_case, server.version) == (NAME, version):
                process.kill()


TARGETS = ("controller", "challenger", "haproxy", "champion", "collector", "postgres")


def findings_of(plane):
    try:
        models = [model for model in read_models(plane.database, None) if model.state.use_case == NAME]
    except DBAPIError as error:
        return [str(error.orig)]
    return [f"{finding.check}: {finding.problem}" for finding in checks.examine(models)]


@pytest.fixture
def steady(plane, wait_for):
    """Return the plane with version 1 of a model of its own as the champion."""
    for version in (1, 2):
        plane.make(NAME, version, answer=version / 4)
    with plane.database.begin() as connection:
        connection.execute(text("DELETE FROM access_log WHERE use_case = :name"), {"name": NAME})
        for version in (1, 2):
            append(connection, Entry(NAME, "registered", "ann", "a test", version, {"digest": "a"}))
    first = rollout.begin(plane.database, NAME, 1, owner="run/0", actor="ann")
    rollout.promote(plane.database, first, reason="the first", evidence={})
    plane.settle(NAME, seconds=DOCTOR_TIMEOUT_S)
    return plane


def test_the_doctor_finds_nothing_after_any_kill(steady, wait_for, monkeypatch, capsys) -> None:
    # The doctor waits for no change: it must agree as soon as the change is carried out.
    monkeypatch.setattr(checks, "SETTLING", timedelta(0))
    monkeypatch.setattr(both_logs, "LAG", timedelta(seconds=3))
    rng = random.Random(SEED)
    rollouts = Rollouts(steady, rng)
    killer = Killer(steady, rollouts)
    waits = {}
    with steady.traffic(NAME) as traffic:
        for number in range(N_KILLS):
            step = STEPS[number % len(STEPS)]
            # All targets in turn, at another step in each round.
            target = TARGETS[(number + number // len(STEPS)) % len(TARGETS)]
            victim = threading.Timer(rng.uniform(0, 0.5), killer.kill, [target])
            victim.start()
            rollouts.take(step)
            victim.join()
            waits[f"{number} {target} at {step}"] = wait_for_the_doctor(steady, wait_for)
    with capsys.disabled():
        report(waits, traffic.statuses)
    assert traffic.statuses[200] > 0
    with steady.database.connect() as connection:
        assert rollout.read_state(connection, NAME).champion == rollouts.champion


def wait_for_the_doctor(plane, wait_for):
    """Return the seconds until the doctor finds nothing."""
    began = time.monotonic()
    wait_for(lambda: not findings_of(plane), DOCTOR_TIMEOUT_S, lambda: f"{findings_of(plane)} {plane.logs()}")
    return time.monotonic() - began


def report(waits, statuses):
    name, slowest = max(waits.items(), key=operator.itemgetter(1))
    failed = {status: count for status, count in statuses.items() if status != 200}
    sys.stdout.write(
        f"\n{len(waits)} kills: the doctor agreed after {slowest:.1f} s at the latest ({name}); "
        f"{sum(failed.values())} of {statuses.total()} requests failed: {failed}\n"
    )
