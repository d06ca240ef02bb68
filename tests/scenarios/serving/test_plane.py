"""The serving plane under traffic: real HAProxy, PostgreSQL, controller and model servers."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter

import httpx
import psutil
import pytest

from include.serving.gateway.config import RESTART_S
from include.serving.gateway.haproxy import Gateway
from include.serving.model_server.shadow import COPY_TIMEOUT_S
from tests.small_models import ROW

# HAProxy waits so long for a champion; a challenger that fails must delay callers much less.
CHAMPION_TIMEOUT_S = 10


def test_a_response_names_version_and_request(served) -> None:
    response = served.ask(headers={"X-Request-Id": "request-1"})
    assert response.status_code == 200
    assert response.json() == {
        "predictions": [0.25],
        "model": {"name": "delay", "version": 1},
        "request_id": "request-1",
    }
    assert response.headers["x-request-id"] == "request-1"


def test_a_request_without_an_id_gets_one(served) -> None:
    first = served.ask()
    second = served.ask(headers={"X-Request-Id": "not valid\t{}"})
    assert first.headers["x-request-id"] == first.json()["request_id"]
    assert len({first.json()["request_id"], second.json()["request_id"], "not valid\t{}"}) == 3


def test_a_promotion_under_traffic_fails_no_request(served) -> None:
    with served.traffic() as traffic:
        for weight in (200, 2500, 7500, 10_000):
            served.settle(weight=weight)
            traffic.wait_for_responses(100)
        served.settle(champion=2, previous=1, challenger=None, weight=0)
        traffic.wait_for_responses(50)
        before = traffic.versions.copy()
        traffic.wait_for_responses(100)
    assert set(traffic.statuses) == {200}
    assert min(traffic.versions[1], traffic.versions[2]) > 20
    assert (traffic.versions - before).keys() == {2}


@pytest.mark.parametrize("mood", ["fail", "hang", "nan", "outside"])
def test_a_challenger_that_fails_does_not_affect_callers(served, mood: str) -> None:
    served.settle(weight=7500)
    served.make.mood(2).write_text(mood)
    with served.traffic() as traffic:
        traffic.wait_for_responses(100 if mood == "hang" else 300)
    assert set(traffic.statuses) == {200}
    assert set(traffic.versions) == {1}
    assert traffic.slowest < CHAMPION_TIMEOUT_S / 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_dead_challenger_does_not_affect_callers(served, number: int) -> None:
    served.settle(weight=7500)
    challenger = served.server(2)
    with served.traffic() as traffic:
        traffic.wait_for_responses(50)
        challenger.send_signal(number)
        traffic.wait_for_responses(300)
    if number == signal.SIGSTOP:
        # Otherwise the next test would wait until the process is replaced, which may have happened.
        with contextlib.suppress(psutil.NoSuchProcess):
            challenger.resume()
    assert set(traffic.statuses) == {200}
    assert traffic.versions[1] > 20


def test_callers_wait_while_a_killed_champion_is_replaced(served) -> None:
    with served.traffic() as traffic:
        traffic.wait_for_responses(50)
        served.server(1).kill()
        traffic.wait_for_responses(200)
    # Who waited as long as the gateway does gets 503, on a machine where a new process takes longer.
    assert set(traffic.statuses) <= {200, 503}
    assert traffic.fastest_failure > 0.9 * RESTART_S


def test_an_entity_keeps_its_side_as_the_weight_rises(served) -> None:
    entities = [f"flight-{number}" for number in range(60)]
    sides = []
    for weight in (2500, 7500):
        served.settle(weight=weight)
        sides.append({entity for entity in entities if served.version_for(entity) == 2})
        again = {entity for entity in entities[:20] if served.version_for(entity) == 2}
        assert again == sides[-1] & set(entities[:20])
    assert sides[0] < sides[1]
    assert 5 <= len(sides[0]) <= 25


def test_a_request_that_the_challenger_rejects_is_retried(served) -> None:
    served.make("delay", 4, columns={"carrier": "string", "hour": "long", "temp": "double", "new": "long"})
    served.settle(challenger=4, weight=10_000)
    answer = served.ask()
    assert (answer.status_code, answer.json()["model"]["version"]) == (200, 1)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_too_large_to_retry_goes_to_the_champion(served, row, chunked: bool) -> None:
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


def test_unknown_models_and_missing_champions_differ(served, wait_for) -> None:
    served.desire("other", weight=0)
    wait_for(lambda: served.ask("other").status_code == 503)
    assert "no champion" in served.ask("other").json()["message"]
    unknown = served.ask("nothing")
    assert unknown.status_code == 404
    assert unknown.json()["models"] == ["delay", "other"]


def test_the_gateway_has_exactly_the_documented_endpoints(served) -> None:
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
    for path in ("invocations", "explanations"):
        assert httpx.get(f"{served.uri}/models/delay/{path}").status_code == 405


def test_an_answer_is_explained_by_the_version_that_gave_it(served, wait_for) -> None:
    served.settle(weight=10_000)
    url = f"{served.uri}/models/delay/explanations"
    assert served.ask(headers={"X-Request-Id": "explained"}).json()["model"]["version"] == 2

    def ask(body: dict[str, object]) -> httpx.Response:
        # The record is written a moment later, and the process that explains takes seconds to start.
        responses: list[httpx.Response] = []

        def is_explained() -> bool:
            responses.append(httpx.post(url, json=body, timeout=20))
            return responses[-1].status_code == 200

        wait_for(is_explained, 60, lambda: responses[-1].text)
        return responses[-1]

    logged = ask({"request_id": "explained"}).json()
    assert logged["model"]["version"] == 2
    assert logged["explanations"][0]["prediction"] == 0.75
    assert ask({"dataframe_records": [ROW]}).json()["model"]["version"] == 1
    unknown = httpx.post(f"{served.uri}/models/nothing/explanations", json={"request_id": "explained"})
    assert unknown.status_code == 404


def test_metrics_name_use_case_and_version(served) -> None:
    def counted(status: int) -> float:
        labels = f'replica="1",role="champion",status="{status}",use_case="delay",version="1"'
        start = f"airworthy_requests_total{{{labels}}}"
        lines = httpx.get(f"{served.uri}/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(start))

    successes = counted(200)
    errors = counted(400)
    served.ask()
    served.ask(wrong=1)
    assert (counted(200), counted(400)) == (successes + 1, errors + 1)


def test_metrics_have_batches_memory_and_each_family_once(served) -> None:
    served.ask()
    text = httpx.get(f"{served.uri}/metrics").text
    for version in (1, 2):
        labels = f'{{replica="1",use_case="delay",version="{version}"}}'
        assert f"airworthy_model_server_up{labels} 1.0\n" in text
        assert f"airworthy_batch_rows_count{labels}" in text
        memory = text.split(f"process_resident_memory_bytes{labels} ")[1].splitlines()[0]
        assert float(memory) > 10e6
        assert f"process_cpu_seconds_total{labels}" in text
    assert text.count("# TYPE airworthy_requests_total ") == 1


def test_a_shadow_gets_copies_with_the_same_request_id(served, wait_for) -> None:
    served.start_shadowing()
    for number in range(20):
        response = served.ask(headers={"X-Request-Id": f"r{number}", "X-Entity-Id": "e"})
        assert response.json()["model"]["version"] == 1
    wait_for(lambda: len(served.logged("request_id LIKE 'r%'")) == 40)
    originals = served.logged("request_id LIKE 'r%' AND role = 'champion'")
    copies = served.logged("request_id LIKE 'r%' AND role = 'shadow'")
    assert {row["request_id"] for row in originals} == {row["request_id"] for row in copies}
    assert {(row["version"], row["predictions"][0], row["entity_id"]) for row in copies} == {(2, 0.75, "e")}


def test_a_hanging_shadow_does_not_delay_callers(served) -> None:
    served.start_shadowing()
    served.make.mood(2).write_text("hang")
    with served.traffic() as traffic:
        traffic.wait_for_responses(300)
    assert set(traffic.statuses) == {200}
    assert traffic.slowest < COPY_TIMEOUT_S


def test_a_version_without_certificate_is_not_loaded(served, wait_for) -> None:
    folder = served.make("delay", 3)
    (folder / "model.pkl").write_bytes(b"not what was signed")
    served.desire("delay", challenger=3)
    wait_for(lambda: "model.pkl changed" in str(served.live()[1]))
    ready, detail = served.live()
    assert not ready
    assert "model.pkl changed" in detail["reason"]
    assert "model.pkl changed" in detail["servers"]["3"]["reason"]
    assert served.ask().status_code == 200


def test_the_inference_log_has_every_request_once(served, wait_for) -> None:
    with served.traffic() as traffic:
        traffic.wait_for_responses(200)
    wait_for(lambda: len(served.logged()) >= traffic.statuses[200])
    request_ids = Counter(row["request_id"] for row in served.logged())
    assert request_ids.total() == len(request_ids) == traffic.statuses[200]
    row = served.logged()[0]
    assert (row["inputs"], row["predictions"]) == ([{"carrier": "UA", "hour": 7, "temp": 61.5}], [0.25])


def test_weights_survive_a_restart_of_haproxy(served) -> None:
    served.settle(weight=10_000)
    # A stopped controller cannot set the weights again.
    os.kill(served.controller.pid, signal.SIGSTOP)
    try:
        served.stop_haproxy()
        served.start_haproxy()
        assert served.ask().json()["model"]["version"] == 2
    finally:
        os.kill(served.controller.pid, signal.SIGCONT)


def test_a_change_while_haproxy_is_away_takes_effect(served, wait_for) -> None:
    served.stop_haproxy()
    served.desire("delay", weight=10_000)
    wait_for(lambda: Gateway().routes()["delay"].weight == 10_000)
    served.start_haproxy()
    served.settle()
    assert served.ask().json()["model"]["version"] == 2


def test_a_restarted_controller_adopts_its_servers(served) -> None:
    before = {served.server(1).pid, served.server(2).pid}
    with served.traffic() as traffic:
        served.controller.kill()
        served.controller.wait()
        traffic.wait_for_responses(50)
        served.start_controller()
        served.settle(weight=5000)
        traffic.wait_for_responses(100)
    assert set(traffic.statuses) == {200}
    assert {served.server(1).pid, served.server(2).pid} == before
    assert traffic.versions[2] > 0


def test_a_stopped_controller_ends_its_servers(served) -> None:
    running = [served.server(1), served.server(2)]
    served.controller.terminate()
    assert served.controller.wait(30) == 0
    assert not any(process.is_running() for process in running)


def test_serving_continues_while_the_database_hangs(served, wait_for) -> None:
    def signal_postgres(number: int) -> None:
        server = psutil.Process(postmaster)
        for process in (server, *server.children(recursive=True)):
            process.send_signal(number)

    postmaster = served.postmaster()
    served.settle(weight=5000)
    signal_postgres(signal.SIGSTOP)
    try:
        with served.traffic() as traffic:
            traffic.wait_for_responses(50)
            served.server(2).kill()
            traffic.wait_for_responses(50)
            before = traffic.versions[2]
            wait_for(lambda: traffic.versions[2] > before, 60)
    finally:
        signal_postgres(signal.SIGCONT)
    assert set(traffic.statuses) == {200}
    assert traffic.versions[2] > before
    # The last records of the killed process are lost.
    champion = "version = 1 AND status = 200"
    wait_for(lambda: len(served.logged(champion)) >= traffic.versions[1])
    assert len(served.logged(champion)) == traffic.versions[1]


def test_a_retired_model_answers_410_to_its_callers(served) -> None:
    served.settle(champion=None, previous=None, challenger=None, retired=True)
    response = served.ask()
    assert (response.status_code, response.json()["error_code"]) == (410, "RESOURCE_RETIRED")
    assert "delay was retired" in response.json()["message"]
    assert "delay" not in response.json()["models"]
    assert "delay" not in httpx.get(f"{served.uri}/models").text
    assert httpx.get(f"{served.uri}/models/delay").status_code == 410
