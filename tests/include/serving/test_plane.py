"""The whole serving plane: real HAProxy, real Postgres, real model servers, under traffic."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter

import httpx
import psutil
import pytest


def test_answers_say_which_version_and_which_request(served) -> None:
    response = served.ask(headers={"X-Request-Id": "mine-1"})
    assert response.status_code == 200
    assert response.json() == {
        "predictions": [0.25],
        "model": {"name": "delay", "version": 1},
        "request_id": "mine-1",
    }
    assert response.headers["x-request-id"] == "mine-1"


def test_a_request_without_an_id_gets_one(served) -> None:
    first, second = served.ask(), served.ask(headers={"X-Request-Id": "not valid\t{}"})
    assert first.headers["x-request-id"] == first.json()["request_id"]
    assert len({first.json()["request_id"], second.json()["request_id"], "not valid\t{}"}) == 3


def test_a_promotion_under_traffic_fails_no_request(served) -> None:
    with served.traffic() as traffic:
        for weight in (200, 2500, 7500, 10_000):
            served.settle(weight=weight)
            time.sleep(0.4)
        served.settle(champion=2, previous=1, challenger=None, weight=0)
        time.sleep(0.4)
        before = traffic.versions.copy()
        time.sleep(0.4)
    assert set(traffic.statuses) == {200}
    assert min(traffic.versions[1], traffic.versions[2]) > 20
    assert (traffic.versions - before).keys() == {2}


@pytest.mark.parametrize("mood", ["fail", "hang", "nan", "outside"])
def test_a_challenger_that_goes_wrong_costs_callers_nothing(served, mood: str) -> None:
    served.settle(weight=7500)
    served.make.mood(2).write_text(mood)
    with served.traffic() as traffic:
        time.sleep(3)
    assert set(traffic.statuses) == {200}
    assert set(traffic.versions) == {1}
    assert traffic.slowest < 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_challenger_that_is_killed_or_stopped_costs_callers_nothing(served, number: int) -> None:
    served.settle(weight=7500)
    challenger = served.server(2)
    with served.traffic() as traffic:
        time.sleep(0.5)
        challenger.send_signal(number)
        time.sleep(3)
    if number == signal.SIGSTOP:
        challenger.resume()  # or the tests after this one would wait until it is replaced
    assert set(traffic.statuses) == {200}
    assert traffic.versions[1] > 20


def test_a_champion_that_is_killed_is_replaced_while_its_callers_wait(served) -> None:
    with served.traffic() as traffic:
        time.sleep(0.5)
        served.server(1).kill()
        time.sleep(6)
    assert set(traffic.statuses) == {200}


def test_an_entity_stays_on_its_side_as_the_weight_rises(served) -> None:
    entities = [f"flight-{number}" for number in range(60)]
    sides = []
    for weight in (2500, 7500):
        served.settle(weight=weight)
        asked = {entity: served.ask(headers={"X-Entity-Id": entity}) for entity in entities}
        sides.append({entity for entity, answer in asked.items() if answer.json()["model"]["version"] == 2})
        again = {entity for entity in entities[:20] if _version(served, entity) == 2}
        assert again == sides[-1] & set(entities[:20])
    assert sides[0] < sides[1]
    assert 5 <= len(sides[0]) <= 25


def test_what_the_challenger_refuses_the_champion_may_take(served) -> None:
    served.make("delay", 4, columns={"carrier": "string", "hour": "long", "temp": "double", "new": "double"})
    served.settle(challenger=4, weight=10_000)
    answer = served.ask()
    assert (answer.status_code, answer.json()["model"]["version"]) == (200, 1)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_cannot_be_sent_again_goes_to_the_champion(served, row, chunked: bool) -> None:
    served.settle(weight=10_000)
    assert served.ask().json()["model"]["version"] == 2
    rows = ",".join([str(row).replace("'", '"')] * 8000)
    body = f'{{"dataframe_records": [{rows}]}}'.encode()
    content = (body[start : start + 50_000] for start in range(0, len(body), 50_000)) if chunked else body
    headers = {"Content-Type": "application/json"}
    url = f"{served.uri}/models/delay/invocations"
    answer = httpx.post(url, content=content, headers=headers, timeout=20)
    assert answer.json()["model"]["version"] == 1
    assert len(answer.json()["predictions"]) == 8000


@pytest.mark.parametrize("chunked", [False, True])
def test_a_huge_body_is_413(served, chunked: bool) -> None:
    body = b" " * 3_000_000
    content = (body[start : start + 50_000] for start in range(0, len(body), 50_000)) if chunked else body
    headers = {"Content-Type": "application/json"}
    answer = httpx.post(
        f"{served.uri}/models/delay/invocations", content=content, headers=headers, timeout=20
    )
    assert answer.status_code == 413
    assert answer.json()["error_code"]


def test_unknown_models_and_models_without_a_champion_are_told_apart(served) -> None:
    served.desire("other", weight=0)
    deadline = time.monotonic() + 5
    while served.ask("other").status_code != 503 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "no champion" in served.ask("other").json()["message"]
    unknown = served.ask("nothing")
    assert unknown.status_code == 404
    assert unknown.json()["models"] == ["delay", "other"]


def test_the_gateway_shows_models_and_metrics_and_nothing_else(served) -> None:
    served.ask()
    served.ask(wrong=1)
    listed = httpx.get(f"{served.uri}/models").json()["models"][0]
    assert (listed["name"], listed["champion"], listed["ready"]) == ("delay", 1, True)
    assert httpx.get(f"{served.uri}/models/delay").json()["servers"]["2"]["role"] == "challenger"
    assert httpx.get(f"{served.uri}/models/nothing").status_code == 404
    assert httpx.get(f"{served.uri}/models/delay/history").json() == {"name": "delay", "champions": []}
    assert httpx.get(f"{served.uri}/healthz").status_code == 200
    assert httpx.get(f"{served.uri}/readyz").json() == {"ready": True, "problems": []}
    for path in (
        "/",
        "/docs",
        "/openapi.json",
        "/invocations",
        "/models/delay/metrics",
        "/models/../metrics/x",
    ):
        assert httpx.get(f"{served.uri}{path}").status_code == 404
    assert httpx.post(f"{served.uri}/models").status_code == 405
    assert httpx.get(f"{served.uri}/models/delay/invocations").status_code == 405


def test_metrics_name_use_case_and_version(served) -> None:
    def counted(status: int) -> float:
        start = f'airworthy_requests_total{{role="champion",status="{status}",use_case="delay",version="1"}}'
        lines = httpx.get(f"{served.uri}/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(start))

    before = counted(200), counted(400)
    served.ask()
    served.ask(wrong=1)
    assert (counted(200), counted(400)) == (before[0] + 1, before[1] + 1)


def test_metrics_tell_of_batches_and_memory_and_name_each_family_once(served) -> None:
    served.ask()
    text = httpx.get(f"{served.uri}/metrics").text
    for version in (1, 2):
        one = f'{{use_case="delay",version="{version}"}}'
        assert f"airworthy_model_server_up{one} 1.0\n" in text
        assert f"airworthy_batch_rows_count{one}" in text
        memory = text.split(f"process_resident_memory_bytes{one} ")[1].splitlines()[0]
        assert float(memory) > 10e6
        assert f"process_cpu_seconds_total{one}" in text
    assert text.count("# TYPE airworthy_requests_total ") == 1


def test_a_shadow_gets_copies_under_the_same_request_id(served, wait_for) -> None:
    served.settle(shadow_share=1.0)
    time.sleep(0.3)
    for number in range(20):
        assert (
            served.ask(headers={"X-Request-Id": f"r{number}", "X-Entity-Id": "e"}).json()["model"]["version"]
            == 1
        )
    wait_for(lambda: len(served.logged()) == 40)
    mine, theirs = served.logged("role = 'champion'"), served.logged("role = 'shadow'")
    assert {row["request_id"] for row in mine} == {row["request_id"] for row in theirs}
    assert {(row["version"], row["predictions"][0], row["entity_id"]) for row in theirs} == {(2, 0.75, "e")}


def test_a_shadow_that_hangs_slows_nobody(served) -> None:
    served.make.mood(2).write_text("hang")
    served.settle(shadow_share=1.0)
    time.sleep(0.3)
    with served.traffic() as traffic:
        time.sleep(2)
    assert set(traffic.statuses) == {200}
    assert traffic.slowest < 0.5


def test_a_version_that_is_not_certified_is_not_loaded(served) -> None:
    folder = served.make("delay", 3)
    (folder / "model.pkl").write_bytes(b"not what was signed")
    served.desire("delay", challenger=3)
    deadline = time.monotonic() + 10
    while "model.pkl changed" not in str(served.live()[1]) and time.monotonic() < deadline:
        time.sleep(0.05)
    ready, detail = served.live()
    assert not ready
    assert "model.pkl changed" in detail["reason"]
    assert "model.pkl changed" in detail["servers"]["3"]["reason"]
    assert served.ask().status_code == 200


def test_the_inference_log_has_every_request_once(served, wait_for) -> None:
    with served.traffic() as traffic:
        time.sleep(1)
    asked = Counter(row["request_id"] for row in served.logged())
    wait_for(lambda: len(served.logged()) >= traffic.statuses[200])
    asked = Counter(row["request_id"] for row in served.logged())
    assert sum(asked.values()) == len(asked) == traffic.statuses[200]
    row = served.logged()[0]
    assert (row["inputs"], row["predictions"]) == ([{"carrier": "UA", "hour": 7, "temp": 61.5}], [0.25])


def test_weights_survive_a_restart_of_haproxy(served) -> None:
    served.settle(weight=10_000)
    os.kill(served.controller.pid, signal.SIGSTOP)  # so that nobody sets them again
    try:
        served.haproxy.terminate()
        served.haproxy.wait(10)
        served.start_haproxy()
        time.sleep(1)
        assert served.ask().json()["model"]["version"] == 2
    finally:
        os.kill(served.controller.pid, signal.SIGCONT)


def test_what_was_changed_while_haproxy_was_away_is_true_when_it_is_back(served) -> None:
    served.haproxy.terminate()
    served.haproxy.wait(10)
    served.desire("delay", weight=10_000)
    time.sleep(1)
    served.start_haproxy()
    served.settle()
    assert served.ask().json()["model"]["version"] == 2


def test_a_controller_that_is_killed_finds_its_servers_again(served) -> None:
    before = {served.server(1).pid, served.server(2).pid}
    with served.traffic() as traffic:
        served.controller.kill()
        served.controller.wait()
        time.sleep(0.5)
        served.start_controller()
        served.settle(weight=5000)
        time.sleep(0.5)
    assert set(traffic.statuses) == {200}
    assert {served.server(1).pid, served.server(2).pid} == before
    assert traffic.versions[2] > 0


def test_a_controller_that_is_stopped_leaves_nothing_running(served) -> None:
    running = [served.server(1), served.server(2)]
    served.controller.terminate()
    assert served.controller.wait(15) == 0
    assert not any(process.is_running() for process in running)


def _version(plane, entity: str) -> int:
    return plane.ask(headers={"X-Entity-Id": entity}).json()["model"]["version"]


def test_while_the_database_hangs_everything_serves_and_what_dies_is_replaced(served, wait_for) -> None:
    def signal_postgres(number: int) -> None:
        process = psutil.Process(postmaster)
        for each in (process, *process.children(recursive=True)):
            each.send_signal(number)

    postmaster = served.postmaster()
    served.settle(weight=5000)
    signal_postgres(signal.SIGSTOP)
    try:
        with served.traffic() as traffic:
            time.sleep(0.5)
            served.server(2).kill()
            time.sleep(0.5)
            before = traffic.versions[2]
            wait_for(lambda: traffic.versions[2] > before, 30)
    finally:
        signal_postgres(signal.SIGCONT)
    assert set(traffic.statuses) == {200}
    assert traffic.versions[2] > before
    mine = "version = 1 AND status = 200"  # what was killed took its last moment with it
    wait_for(lambda: len(served.logged(mine)) >= traffic.versions[1], 20)
    assert len(served.logged(mine)) == traffic.versions[1]
