from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import uuid4

import pandas as pd
import pytest

from include.data.lake.delta_tables import Lake
from include.database.tables import access_log, inference_log
from include.errors import DataError
from include.governance.request_trace import trace_request
from include.modeling.registry.registry import Registry
from include.pseudonyms import pseudonym
from tests.access_rows import access_row

DAY = date(2013, 1, 1)
FLIGHT = "2013-01-01-UA1545-EWR-0515"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path) -> Lake:
    lake = Lake(str(tmp_path / "lake"))
    rows = pd.DataFrame({"flight_id": [FLIGHT, "another"], "arr_delay": [11.0, 20.0], "_airworthy_day": DAY})
    lake.publish("arrivals", rows, [DAY], metadata={})
    return lake


@pytest.fixture
def trace(database, lake, free_port):
    """Return a function that traces a request, while MLflow is away."""

    def call(name: str):
        with database.connect() as connection:
            return trace_request(connection, lake, Registry(f"http://127.0.0.1:{free_port}"), name)

    return call


def log(database, *, access=None, **changes) -> None:
    record = {
        "use_case": "flight_delay", "request_id": "r", "version": 1, "role": "champion", "latency_ms": 2.0,
        "status": 200, "received_at": NOW, "inputs": [{"flight_id": FLIGHT, "hour": 7}],
        "predictions": [0.5], "gateway_id": access and access["id"],
    }  # fmt: skip
    with database.begin() as connection:
        connection.execute(inference_log.insert(), record | changes)


def enter(database, **changes):
    access = access_row(use_case="flight_delay", **changes)
    with database.begin() as connection:
        connection.execute(access_log.insert(), access)
    return access


@pytest.mark.usefixtures("_no_retries")
def test_a_retried_request_has_both_attempts_and_its_label(trace, database) -> None:
    access = enter(database, first_version=2, retries=1, redispatched=True)
    log(database, access=access, version=2, role="challenger", status=500, predictions=None)
    log(database, access=access)
    log(database, access=access, version=2, role="shadow")
    log(database, gateway_id=uuid4(), request_id="another")
    [result] = trace("r")
    assert result.access["first_version"] == 2
    assert sorted((row["version"], row["role"], row["status"]) for row in result.records) == [
        (1, "champion", 200), (2, "challenger", 500), (2, "shadow", 200),
    ]  # fmt: skip
    assert result.answer["predictions"] == [0.5]
    assert [(label["flight_id"], label["arr_delay"]) for label in result.labels] == [(FLIGHT, 11.0)]
    assert any("MLflow" in problem for problem in result.problems)


@pytest.mark.usefixtures("_no_retries")
def test_requests_with_the_same_id_are_apart(trace, database) -> None:
    for _ in range(2):
        log(database, access=enter(database))
    traces = trace("r")
    assert [len(result.records) for result in traces] == [1, 1]
    assert len({result.access["id"] for result in traces}) == 2


def test_a_request_that_no_version_answered_has_no_training(trace, database) -> None:
    access = enter(database, status=413, first_version=None, version=None, termination="LR")
    [result] = trace(str(access["id"]))
    assert (result.records, result.answer, result.training, result.problems) == ([], None, None, [])


@pytest.mark.usefixtures("_no_retries")
def test_a_request_is_found_by_its_trace(trace, database) -> None:
    access = enter(database, trace_id="0af7651916cd43dd8448eb211c80319c", request_id="other")
    log(database, access=access, trace_id="0af7651916cd43dd8448eb211c80319c")
    [result] = trace("0af7651916cd43dd8448eb211c80319c")
    assert (result.access["request_id"], len(result.records)) == ("other", 1)


@pytest.mark.usefixtures("_no_retries")
def test_a_personal_entity_shows_no_label(trace, database) -> None:
    log(database, inputs=[{"flight_id": pseudonym(FLIGHT, "key"), "hour": 7}])
    [result] = trace("r")
    assert result.labels == []
    assert any("personal" in problem for problem in result.problems)


def test_an_unknown_request_is_an_error(trace) -> None:
    with pytest.raises(DataError, match="No request nothing"):
        trace("nothing")


@pytest.fixture
def _no_retries(monkeypatch) -> None:
    """Fail at once where MLflow is away."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
