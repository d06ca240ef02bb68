from __future__ import annotations

from types import SimpleNamespace

from include.release.rollout import ReleaseState
from include.serving.controller.status import describe_use_case, next_route
from include.serving.gateway.config import Route, Server


def test_the_old_champion_serves_until_the_new_one_is_ready() -> None:
    state = ReleaseState("delay", champion=4, previous=3)
    assert next_route(state, Route(3), {3}) == Route(3)
    assert next_route(state, Route(3), {3, 4}) == Route(4)


def test_a_challenger_that_is_not_ready_gets_no_traffic() -> None:
    state = ReleaseState("delay", champion=3, challenger=4, weight=2500)
    assert next_route(state, Route(3), {3}) == Route(3)
    assert next_route(state, Route(3), {3, 4}) == Route(3, 4, 2500)


def test_a_use_case_is_live_when_servers_and_route_agree(home) -> None:
    state = ReleaseState("delay", champion=3)
    ready = SimpleNamespace(replica=1, reason="", server=Server("delay", 3, 9000))
    is_live, detail = describe_use_case(state, Route(3), lambda *_: [ready], "")
    assert is_live
    assert detail["reason"] == ""
    assert detail["route"] == {
        "champion": 3,
        "challenger": None,
        "weight": 0,
        "retired": False,
        "fallback": "",
        "reason": "",
    }
    is_live, detail = describe_use_case(state, Route(2), lambda *_: [ready], "")
    assert (is_live, detail["reason"]) == (False, "the gateway does not have this route yet")


def test_a_retired_use_case_is_live_without_servers() -> None:
    state = ReleaseState("delay", retired=True)
    assert next_route(state, Route(3), {3}) == Route(retired=True)
    assert describe_use_case(state, Route(retired=True), lambda *_: [], "")[0]
    assert not describe_use_case(state, Route(3), lambda *_: [], "")[0]


def test_a_switched_off_champion_gets_no_traffic() -> None:
    state = ReleaseState("delay", champion=3, fallback={"kind": "constant", "reason": "wrong"})
    route = next_route(state, Route(3), {3})
    assert route == Route(fallback="constant", reason="wrong")
    assert describe_use_case(state, route, lambda *_: [], "")[0]
    assert not describe_use_case(state, Route(3), lambda *_: [], "")[0]


def test_callers_get_503_until_the_previous_version_is_ready(home) -> None:
    fallback = {"kind": "previous", "reason": "worse", "version": 2}
    state = ReleaseState("delay", champion=3, previous=2, fallback=fallback)
    assert next_route(state, Route(3), {3}) == Route(fallback="unavailable", reason="worse")
    route = next_route(state, Route(3), {2, 3})
    assert route == Route(2, fallback="previous", reason="worse")
    is_live, detail = describe_use_case(state, route, lambda *_: [], "")
    assert (is_live, detail["reason"]) == (False, "version 2: it is not started yet")


def test_a_server_that_is_not_started_is_reported(home) -> None:
    state = ReleaseState("delay", champion=3)
    is_live, detail = describe_use_case(state, Route(3), lambda *_: [], "")
    assert (is_live, detail["reason"]) == (False, "version 3: it is not started yet")
    assert detail["servers"]["3"]["address"] is None
    assert detail["servers"]["3"]["replicas"] == []


def test_a_use_case_is_live_when_all_replicas_answer(home) -> None:
    replicas = [
        SimpleNamespace(replica=1, reason="its process ended", server=Server("delay", 3, 9000)),
        SimpleNamespace(replica=2, reason="", server=Server("delay", 3, 9001, 2)),
    ]
    is_live, detail = describe_use_case(ReleaseState("delay", champion=3), Route(3), lambda *_: replicas, "")
    assert (is_live, detail["reason"]) == (False, "version 3: replica 1: its process ended")
    assert detail["servers"]["3"]["address"] == "127.0.0.1:9001"
    assert [server["ready"] for server in detail["servers"]["3"]["replicas"]] == [False, True]
