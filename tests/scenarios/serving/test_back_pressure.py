"""Models that hang or raise, and processes that are frozen: what callers get, and how soon."""

from __future__ import annotations

import signal
import threading
import time

import psutil

from include.serving.gateway.config import RESTART_S
from tests.scenarios.serving.conftest import N_CALLERS

# Of the default service level.
DEADLINE_S = 2.0
NOTICED_WITHIN_S = 15.0


def test_a_hung_champion_is_given_up_and_replaced(served, wait_for) -> None:
    hung = served.server(1)
    served.make.mood(1).write_text("hang")
    started = time.monotonic()
    response = served.ask()
    seconds = time.monotonic() - started
    assert (response.status_code, response.headers["retry-after"]) == (504, "1")
    assert DEADLINE_S <= seconds < DEADLINE_S + 2
    # The event loop is alive, and says what is wrong.
    wait_for(lambda: not psutil.pid_exists(hung.pid), NOTICED_WITHIN_S, served.logs)
    served.make.mood(1).unlink()
    wait_for(lambda: served.ask().status_code == 200, 30, served.logs)


def test_a_frozen_champion_costs_at_most_the_requests_in_flight(served, wait_for) -> None:
    frozen = served.server(1)
    with served.traffic() as traffic:
        traffic.wait_for_responses(50)
        frozen.send_signal(signal.SIGSTOP)
        started = time.monotonic()
        wait_for(lambda: not psutil.pid_exists(frozen.pid), NOTICED_WITHIN_S, served.logs)
        # A slow machine notices later than the first requests are given up.
        rounds = 1 + int((time.monotonic() - started) / (DEADLINE_S + RESTART_S))
        traffic.wait_for_responses(100)
    # A slow machine needs longer for a new process than HAProxy waits.
    assert set(traffic.statuses) <= {200, 503, 504}
    assert traffic.statuses.total() - traffic.statuses[200] <= rounds * N_CALLERS
    assert traffic.slowest < 2 * (DEADLINE_S + RESTART_S)


def test_what_a_model_raises_is_not_told_to_callers(served) -> None:
    served.make.mood(1).write_text("fail")
    response = served.ask(headers={"X-Request-Id": "raised-1"})
    assert response.status_code == 500
    assert "mood file" not in response.text
    assert "raised-1: the model failed with RuntimeError: the mood file says fail" in served.logs()


def test_large_requests_do_not_hold_up_small_ones(served, row) -> None:
    rows = {"dataframe_records": [row] * 9_000}
    statuses = []
    large = [
        threading.Thread(target=lambda: statuses.append(served.ask(**rows).status_code)) for _ in range(4)
    ]
    for thread in large:
        thread.start()
    small = [served.ask().elapsed.total_seconds() for _ in range(20)]
    for thread in large:
        thread.join()
    assert statuses == [200] * 4
    assert sorted(small)[len(small) // 2] < 1
