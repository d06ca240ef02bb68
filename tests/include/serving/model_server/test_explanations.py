from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
import pytest

from include.database.tables import inference_log
from include.serving.model_server import explanations
from include.serving.model_server.app import ModelServer
from include.settings import settings
from tests.small_models import ROW

ROWS = {"dataframe_records": [ROW]}
# A stand-in for the process that explains: it answers with what it was asked.
ECHO = """
import json, sys, time
print("{}", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    hour = asked["rows"][0]["hour"]
    if hour == 1:
        time.sleep(60)
    if hour == 2:
        sys.exit(1)
    if hour == 4:
        time.sleep(1)
    if hour == 3:
        print(json.dumps({"error": "it failed", "status": 500}), flush=True)
        continue
    version = asked["folder"].rsplit("/", 1)[1]
    print(json.dumps({"explanations": [{"version": version, "rows": len(asked["rows"])}]}), flush=True)
"""


@pytest.fixture(autouse=True)
def _echo(monkeypatch):
    monkeypatch.setattr(explanations, "COMMAND", (sys.executable, "-c", ECHO))


@pytest.fixture
def server(model, database_url, monkeypatch):
    monkeypatch.setenv("AIRWORTHY_DATABASE_URL", database_url)
    settings.cache_clear()
    return ModelServer("delay", 1, model)


@asynccontextmanager
async def client_of(server):
    app = server.app()
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://server/models/delay") as client,
    ):
        yield client


def post(server, *bodies):
    """Send requests one after another to one running server; return the responses."""

    async def run():
        async with client_of(server) as client:
            return [await client.post("/explanations", json=body) for body in bodies]

    return asyncio.run(run())


def log_request(database, version, rows, role="champion"):
    with database.begin() as connection:
        connection.execute(
            inference_log.insert().values(
                use_case="delay", request_id="r-1", version=version, role=role, latency_ms=1, status=200,
                received_at=datetime.now(UTC), inputs=rows, predictions=[0.5],
            )
        )  # fmt: skip


def test_rows_are_explained_with_version_and_request_id(server):
    first, second = post(server, ROWS, {"dataframe_records": [ROW, ROW]})
    assert first.status_code == 200
    content = first.json()
    assert content["explanations"] == [{"version": "1", "rows": 1}]
    assert content["model"] == {"name": "delay", "version": 1}
    assert first.headers["x-request-id"] == content["request_id"]
    assert second.json()["explanations"] == [{"version": "1", "rows": 2}]


def test_answered_request_is_explained_by_its_version(server, make_model, database):
    make_model("delay", 2)
    log_request(database, 2, [ROW | {"flight_id": "x"}])
    log_request(database, 1, [ROW], role="shadow")
    (response,) = post(server, {"request_id": "r-1"})
    assert response.json()["explanations"] == [{"version": "2", "rows": 1}]
    assert response.json()["model"]["version"] == 2


def test_version_without_files_is_refused_with_the_command(server, database):
    log_request(database, 7, [ROW])
    (response,) = post(server, {"request_id": "r-1"})
    assert response.status_code == 409
    assert "airworthy explain delay --request r-1" in response.json()["message"]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"request_id": "r-2"}, 404, "No request r-2 to delay"),
        ({"request_id": 5}, 400, "as text"),
        ({"dataframe_records": [ROW] * 21}, 413, "21 rows; at most 20"),
        ({"dataframe_records": [{"hour": 1}]}, 400, "missing"),
        ({"dataframe_records": [ROW | {"hour": 3}]}, 500, "delay version 1: it failed"),
        ({"request_id": "r-1", "rows": []}, 400, "exactly one of"),
    ],
)
def test_invalid_request_is_refused_by_name(server, body, status, message):
    response, after = post(server, body, ROWS)
    assert (response.status_code, after.status_code) == (status, 200)
    assert message in response.json()["message"]


def test_second_request_at_once_is_refused(server):
    async def run():
        async with client_of(server) as client:
            return await asyncio.gather(*(client.post("/explanations", json=ROWS) for _ in range(3)))

    responses = asyncio.run(run())
    assert sorted(response.status_code for response in responses) == [200, 429, 429]
    refused = next(response for response in responses if response.status_code == 429)
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["error_code"] == "TOO_MANY_REQUESTS"


def test_late_answer_is_discarded_and_the_process_goes_on(server, monkeypatch):
    async def run():
        async with client_of(server) as client:
            await client.post("/explanations", json=ROWS)
            process = server.explanations._process
            monkeypatch.setattr(explanations, "TIMEOUT_S", 0.2)
            late = await client.post("/explanations", json={"dataframe_records": [ROW | {"hour": 4}] * 2})
            monkeypatch.setattr(explanations, "TIMEOUT_S", 20.0)
            after = await client.post("/explanations", json=ROWS)
            return late, after, process is server.explanations._process

    late, after, is_same = asyncio.run(run())
    assert late.status_code == 503
    assert after.json()["explanations"] == [{"version": "1", "rows": 1}]
    assert is_same


def test_too_late_explanation_is_ended_and_the_next_is_right(server, monkeypatch):
    post(server, ROWS)
    monkeypatch.setattr(explanations, "TIMEOUT_S", 3.0)
    monkeypatch.setattr(explanations, "MAX_COMPUTING_S", 4.0)
    late, after = post(server, {"dataframe_records": [ROW | {"hour": 1}]}, ROWS)
    assert late.status_code == 503
    assert "took more than 3 s" in late.json()["message"]
    assert after.json()["explanations"] == [{"version": "1", "rows": 1}]


def test_hung_process_is_killed_though_no_request_follows(server, monkeypatch):
    async def run():
        async with client_of(server) as client:
            await client.post("/explanations", json=ROWS)
            monkeypatch.setattr(explanations, "TIMEOUT_S", 0.2)
            monkeypatch.setattr(explanations, "MAX_COMPUTING_S", 0.4)
            await client.post("/explanations", json={"dataframe_records": [ROW | {"hour": 1}]})
            return await asyncio.wait_for(server.explanations._process.wait(), 20)

    assert asyncio.run(run()) == -signal.SIGKILL


def test_too_long_answer_is_refused_and_the_next_is_right(server, monkeypatch):
    monkeypatch.setattr(explanations, "MAX_RESPONSE_BYTES", 100)
    rows = '"rows": len(asked["rows"])'
    long = ECHO.replace(rows, '"rows": "x" * 500 if hour == 5 else len(asked["rows"])')
    monkeypatch.setattr(explanations, "COMMAND", (sys.executable, "-c", long))
    refused, after = post(server, {"dataframe_records": [ROW | {"hour": 5}]}, ROWS)
    assert refused.status_code == 503
    assert after.json()["explanations"] == [{"version": "1", "rows": 1}]


def test_starting_process_is_not_ended_by_the_timeout(server, monkeypatch):
    slow = ECHO.replace("import json, sys, time", "import json, sys, time; time.sleep(1.5)")
    monkeypatch.setattr(explanations, "COMMAND", (sys.executable, "-c", slow))
    monkeypatch.setattr(explanations, "TIMEOUT_S", 0.2)

    async def run():
        async with client_of(server) as client:
            first = await client.post("/explanations", json=ROWS)
            monkeypatch.setattr(explanations, "TIMEOUT_S", 20.0)
            return first, await client.post("/explanations", json=ROWS)

    first, second = asyncio.run(run())
    assert first.status_code == 503
    assert "is starting" in first.json()["message"]
    assert second.status_code == 200


def test_process_that_dies_is_started_again(server):
    died, after = post(server, {"dataframe_records": [ROW | {"hour": 2}]}, ROWS)
    assert died.status_code == 503
    assert "ended" in died.json()["message"]
    assert after.status_code == 200


def test_personal_features_are_not_explained_from_the_log(server, database, monkeypatch):
    log_request(database, 1, [ROW])
    monkeypatch.setattr(server.explanations, "_hidden", {"hour"})
    (response,) = post(server, {"request_id": "r-1"})
    assert response.status_code == 404
    assert "hour are personal" in response.json()["message"]


def test_unreachable_log_is_503(server, monkeypatch):
    monkeypatch.setenv("AIRWORTHY_DATABASE_URL", "postgresql+psycopg2://nobody@127.0.0.1:9/none")
    settings.cache_clear()
    (response,) = post(server, {"request_id": "r-1"})
    assert response.status_code == 503
    assert json.loads(response.content)["error_code"] == "TEMPORARILY_UNAVAILABLE"
