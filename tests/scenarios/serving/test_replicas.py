"""Several model servers for each version, under traffic."""

from __future__ import annotations

import signal
import time

import httpx
import pytest

from include.serving.gateway.config import RESTART_S
from tests.scenarios.serving.conftest import N_CALLERS

N_REPLICAS = 2
# Of the default service level.
DEADLINE_S = 2.0


@pytest.fixture
def replicated(served, wait_for):
    """Return the plane with two replicas of champion 1 and challenger 2."""
    served.declare_replicas(N_REPLICAS)
    wait_for(lambda: served.live()[0] and replicas_in_gateway(served, 1) == N_REPLICAS, 60, served.logs)
    wait_for(lambda: replicas_in_gateway(served, 2) == N_REPLICAS, 60, served.logs)
    return served


def replicas_in_gateway(plane, version):
    servers = plane.live()[1]["servers"][str(version)]["replicas"]
    return sum(server["ready"] for server in servers)


def answered_by(plane, version):
    """Return how many requests each replica has answered, by its own count."""
    text = httpx.get(f"{plane.uri}/metrics").text
    counts = {}
    for line in text.splitlines():
        if line.startswith("airworthy_requests_total") and f'version="{version}"' in line:
            replica = int(line.split('replica="')[1].split('"')[0])
            counts[replica] = counts.get(replica, 0) + float(line.split()[-1])
    return counts


def test_the_number_of_replicas_changes_without_a_failed_request(served, wait_for) -> None:
    with served.traffic() as traffic:
        served.declare_replicas(N_REPLICAS)
        wait_for(lambda: len(answered_by(served, 1)) == N_REPLICAS, 60, served.logs)
        wait_for(lambda: min(answered_by(served, 1).values()) > 20, 60, served.logs)
        described = httpx.get(f"{served.uri}/models/delay").json()["servers"]["1"]
        served.declare_replicas(1)
        wait_for(lambda: len(served.live()[1]["servers"]["1"]["replicas"]) == 1, 60, served.logs)
        traffic.wait_for_responses(100)
    assert set(traffic.statuses) == {200}
    assert [replica["replica"] for replica in described["replicas"]] == [1, 2]
    logs = {file.name for file in (served.home / "logs" / "model_servers").glob("delay.1.*.log")}
    assert {"delay.1.1.log", "delay.1.2.log"} <= logs


def test_a_dead_replica_is_replaced_and_callers_do_not_notice(replicated, wait_for) -> None:
    dead = replicated.servers(1)[2]
    with replicated.traffic() as traffic:
        traffic.wait_for_responses(50)
        dead.kill()
        traffic.wait_for_responses(200)
        wait_for(lambda: replicated.servers(1).get(2, dead).pid != dead.pid, 60, replicated.logs)
        wait_for(lambda: replicated.live()[0], 60, replicated.logs)
        traffic.wait_for_responses(50)
    assert set(traffic.statuses) == {200}


def test_a_frozen_replica_costs_at_most_requests_in_flight(replicated, wait_for) -> None:
    frozen = replicated.servers(1)[1]
    with replicated.traffic() as traffic:
        traffic.wait_for_responses(50)
        frozen.send_signal(signal.SIGSTOP)
        started = time.monotonic()
        wait_for(lambda: replicated.servers(1).get(1, frozen).pid != frozen.pid, 60, replicated.logs)
        # A slow machine notices later than the first requests are given up.
        rounds = 1 + int((time.monotonic() - started) / (DEADLINE_S + RESTART_S))
        traffic.wait_for_responses(100)
    assert set(traffic.statuses) <= {200, 503, 504}
    assert traffic.statuses.total() - traffic.statuses[200] <= rounds * N_CALLERS
    assert traffic.slowest < 2 * (DEADLINE_S + RESTART_S)


def test_callers_wait_while_all_replicas_are_replaced(replicated) -> None:
    with replicated.traffic() as traffic:
        traffic.wait_for_responses(50)
        for process in replicated.servers(1).values():
            process.kill()
        traffic.wait_for_responses(100)
    # A busy machine may not have started them within the 10 s after which the gateway gives up.
    assert set(traffic.statuses) <= {200, 504}


def test_a_challenger_that_hangs_does_not_affect_callers(replicated) -> None:
    replicated.settle(weight=7500)
    replicated.make.mood(2).write_text("hang")
    with replicated.traffic() as traffic:
        traffic.wait_for_responses(100)
    assert set(traffic.statuses) == {200}
    assert set(traffic.versions) == {1}


def test_a_dead_challenger_leaves_its_share_to_its_replica(replicated) -> None:
    replicated.settle(weight=10_000)
    before = answered_by(replicated, 2)
    with replicated.traffic() as traffic:
        traffic.wait_for_responses(100)
        replicated.servers(2)[1].kill()
        traffic.wait_for_responses(100)
    assert set(traffic.statuses) == {200}
    assert traffic.versions[2] > 100
    # The count of the killed replica begins anew with its next process.
    assert answered_by(replicated, 2)[2] > before.get(2, 0) + 20


def test_a_restarted_controller_adopts_all_replicas(replicated) -> None:
    before = {replica: process.pid for replica, process in replicated.servers(1).items()}
    replicated.controller.kill()
    replicated.controller.wait()
    replicated.start_controller()
    replicated.settle(weight=2500)
    assert {replica: process.pid for replica, process in replicated.servers(1).items()} == before
