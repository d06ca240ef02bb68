from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import numpy as np
import pytest
from sqlalchemy import select

from include.catalog import catalog
from include.database import tables
from include.declarations import Column
from include.inference.model import load_model
from include.inference.scoring_protocol import BadRequest, Rows, frame, parse_request
from include.serving.model_server import online_features
from include.serving.model_server.app import ModelServer
from include.serving.model_server.online_features import OnlineFeatures
from include.settings import settings
from tests.conftest import free_ports
from tests.include.serving.conftest import post_invocation
from tests.include.serving.model_server.conftest import SELECTION, serving
from tests.small_models import COLUMNS


class Sum:
    """Predicts a sum over the features, so that each feature shows in the prediction."""

    def predict_proba(self, frame: Any) -> Any:
        import numpy as np

        value = (frame["hour"] + frame["temp"].fillna(-5) / 10 + frame["carrier"].str.len().fillna(0)) / 100
        return np.stack([1 - value, value], axis=1)


@pytest.fixture
def ask(make_model: Any, feature_server: str, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that calls a model server and returns the status and the content."""
    monkeypatch.setenv("AIRWORTHY_DATABASE_URL", database_url)
    monkeypatch.setattr(online_features, "REQUEST_TIMEOUT_S", 5.0)  # other tests may slow the machine
    settings.cache_clear()
    model = load_model(make_model("delay", 1, model=Sum()), settings().trusted_keys)

    def ask(
        content: Any = None, *, csv: str | None = None, uri: str = feature_server, role: str = "champion"
    ) -> tuple[int, dict[str, Any]]:
        model_server = ModelServer("delay", 1, model, OnlineFeatures(uri, SELECTION))
        headers = {"X-Airworthy-Route": role} | ({"Content-Type": "text/csv"} if csv else {})
        body = {"content": csv} if csv else {"json": content}
        response = post_invocation(model_server, headers, **body)
        ask.headers = response.headers  # type: ignore[attr-defined]
        return response.status_code, response.json()

    return ask


def prediction(carrier: str, hour: int, temp: float) -> float:
    return (hour + temp / 10 + len(carrier)) / 100


def test_features_are_looked_up_by_key(ask: Any) -> None:
    status, content = ask({"dataframe_records": [{"flight_id": "one"}, {"flight_id": "two"}]})
    assert status == 200
    assert content["predictions"] == pytest.approx([prediction("UA", 6, 61.1), prediction("B6", 7, -5)])


@pytest.mark.parametrize(
    "content",
    [
        {"content": {"dataframe_split": {"columns": ["flight_id"], "data": [["one"], ["one"]]}}},
        {"content": {"inputs": {"flight_id": ["one", "one"]}}},
        {"content": {"instances": [{"flight_id": "one"}] * 2}},
        {"csv": "flight_id\none\none\n"},
    ],
)
def test_the_key_is_accepted_in_every_form(ask: Any, content: Any) -> None:
    status, content = ask(**content)
    assert status == 200
    assert content["predictions"] == pytest.approx([prediction("UA", 6, 61.1)] * 2)


def test_sent_features_take_precedence_over_online_ones(ask: Any) -> None:
    status, content = ask({"dataframe_records": [{"flight_id": "one", "temp": 10.0}]})
    assert (status, content["predictions"]) == (200, pytest.approx([prediction("UA", 6, 10.0)]))
    status, content = ask({"dataframe_records": [{"flight_id": "one", "temp": None}]})
    assert (status, content["predictions"]) == (200, pytest.approx([prediction("UA", 6, -5)]))


def test_a_key_that_is_not_online_is_listed(ask: Any) -> None:
    status, content = ask({"dataframe_records": [{"flight_id": "one"}, {"flight_id": "2012-X"}]})
    assert (status, content["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert "of flight_id 2012-X is not online (1 of the request's keys)" in content["message"]
    assert "sights has the newest 2 days" in content["message"]


def test_a_null_text_that_is_online_is_missing(ask: Any) -> None:
    status, content = ask({"dataframe_records": [{"flight_id": "one"}, {"flight_id": "three"}]})
    expected = [prediction("UA", 6, 61.1), prediction("", 8, 0.1 + 0.2)]
    assert (status, content["predictions"]) == (200, pytest.approx(expected))
    status, content = ask({"dataframe_records": [{"flight_id": "three", "carrier": "AA"}]})
    assert (status, content["predictions"]) == (200, pytest.approx([prediction("AA", 8, 0.1 + 0.2)]))


def checked(dtype: str, kind: Any, values: list[Any], *, nullable: bool) -> list[Any]:
    """Return looked-up values of a column of this type after their check."""
    column = Column(name="carrier", dtype=dtype, nullable=nullable)
    selection = replace(SELECTION, columns={**SELECTION.columns, "carrier": column})
    features = OnlineFeatures("http://unused", selection)
    return features._check_types(selection.views[0], {"carrier": values}, {"carrier": kind})["carrier"]


@pytest.mark.parametrize(("dtype", "value"), [("string", "UA"), ("boolean", True)])
def test_null_is_missing_only_where_it_is_declared(dtype: str, value: Any) -> None:
    assert checked(dtype, dtype, [value, None], nullable=True) == [value, None]
    message = (
        f"Column carrier, row 1: None is missing, and a {dtype} is required. It was looked up by flight_id"
    )
    with pytest.raises(BadRequest, match=message):
        checked(dtype, dtype, [value, None], nullable=False)


def test_an_online_value_of_the_wrong_type_is_named() -> None:
    with pytest.raises(BadRequest, match=r"row 1: 7 is not of type string\. It was looked up"):
        checked("string", "string", [None, 7], nullable=True)


def test_truth_that_is_missing_is_not_false() -> None:
    rows = [Rows({"is_new": [True, None]}, 2), Rows({"is_new": [False]}, 1)]
    values = frame(rows, {"is_new": "boolean"})["is_new"]
    np.testing.assert_array_equal(values, [1.0, np.nan, 0.0])
    assert str(frame(rows[1:], {"is_new": "boolean"})["is_new"].dtype) == "bool"


def test_without_the_feature_server_only_keys_fail(ask: Any) -> None:
    unused = f"http://127.0.0.1:{free_ports(1)[0]}"
    complete = {"flight_id": "one", "carrier": "UA", "hour": 6, "temp": 61.1}
    status, content = ask({"dataframe_records": [complete]}, uri=unused)
    assert (status, content["predictions"]) == (200, pytest.approx([prediction("UA", 6, 61.1)]))
    status, content = ask({"dataframe_records": [{"flight_id": "one"}]}, uri=unused)
    assert (status, content["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    assert f"the feature server at {unused} is away" in content["message"]


def test_a_hanging_feature_server_is_a_timeout(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online_features, "REQUEST_TIMEOUT_S", 0.2)

    async def hang(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await receive()  # the request
        await receive()  # its end, when the model server gives up

    with serving(hang, free_ports(1)[0]) as address:
        status, content = ask({"dataframe_records": [{"flight_id": "one"}]}, uri=address)
    assert status == 503
    assert "TimeoutError" in content["message"]


def test_the_log_has_the_online_features_and_the_key(ask: Any, database: Any) -> None:
    ask({"dataframe_records": [{"flight_id": "one"}]})
    with database.connect() as connection:
        log = connection.execute(select(tables.inference_log)).mappings().one()
    assert log["entity_id"] == "one"
    assert log["inputs"] == [{"flight_id": "one", "carrier": "UA", "hour": 6, "temp": 61.1}]


def test_age_of_looked_up_features_is_logged_and_answered(ask: Any, database: Any) -> None:
    ask({"dataframe_records": [{"flight_id": "one"}, {"flight_id": "two"}]})
    age_s = (datetime.now(UTC) - datetime(2013, 7, 1, tzinfo=UTC)).total_seconds()
    assert float(ask.headers["X-Feature-Age"]) == pytest.approx(age_s, abs=60)
    with database.connect() as connection:
        logged = connection.execute(select(tables.inference_log.c.feature_age_s)).scalar_one()
    assert logged == pytest.approx(age_s, abs=60)


def test_age_is_never_negative(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online_features.time, "time", lambda: 0.0)
    ask({"dataframe_records": [{"flight_id": "one"}]})
    assert float(ask.headers["X-Feature-Age"]) == 0.0


def test_features_that_a_caller_sent_have_no_age(ask: Any, database: Any) -> None:
    ask({"dataframe_records": [{"carrier": "UA", "hour": 6, "temp": 61.1}]})
    assert "X-Feature-Age" not in ask.headers
    with database.connect() as connection:
        assert connection.execute(select(tables.inference_log.c.feature_age_s)).scalar_one() is None


def test_a_challenger_that_cannot_look_up_answers_425(ask: Any, database: Any) -> None:
    unused = f"http://127.0.0.1:{free_ports(1)[0]}"
    status, _ = ask({"dataframe_records": [{"flight_id": "one"}]}, uri=unused, role="challenger=1")
    assert status == 425
    ask({"dataframe_records": [{"flight_id": "one"}]}, uri=unused, role="shadow")
    ask({"dataframe_records": [{"flight_id": "one"}]}, uri=unused)
    with database.connect() as connection:
        log = connection.execute(select(tables.inference_log)).mappings().all()
    assert [(row["role"], row["status"]) for row in log] == [("champion", 503)]


def test_the_feature_server_has_no_endpoint_for_writing(feature_server: str) -> None:
    for path in ("/push", "/write-to-online-store", "/materialize", "/materialize-incremental"):
        assert httpx.post(f"{feature_server}{path}", json={}).status_code == 404
    assert httpx.get(f"{feature_server}/health").is_success


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"flight_id": None}, "Column flight_id, row 0: None is missing, and a string is required"),
        ({"flight_id": 7}, "Column flight_id, row 0: 7 is not of type string"),
        ({"flight_id": "one", "size": 1}, "size unknown. It takes carrier, hour, temp, or flight_id alone"),
        ({"hour": 1}, "carrier missing. It takes carrier, hour, temp, or flight_id alone"),
    ],
)
def test_a_row_without_key_or_features_is_rejected(ask: Any, row: Any, message: str) -> None:
    status, content = ask({"dataframe_records": [row]})
    assert status == 400
    assert message in content["message"]


def test_without_an_online_view_the_key_is_an_unknown_column() -> None:
    with pytest.raises(BadRequest, match=r"flight_id unknown\. It takes carrier, hour, temp\.$"):
        parse_request(b"flight_id\none\n", "text/csv", COLUMNS)


def test_too_many_keys_are_rejected_before_the_look_up() -> None:
    n_rows = online_features.MAX_KEYS + 1
    rows = Rows({}, n_rows, {"flight_id": ["one"] * n_rows})
    with pytest.raises(BadRequest, match="1001 rows to look up; at most 1000") as rejected:
        asyncio.run(OnlineFeatures("http://127.0.0.1:9", SELECTION).complete(rows, COLUMNS))
    assert rejected.value.status == 413


def test_flight_delay_has_features_of_flight_and_station() -> None:
    features = online_features.online_features_of(catalog().features_of(catalog().use_cases["flight_delay"]))
    assert features is not None
    keys = {"flight_id": "string", "station": "string"}
    assert features.keys.kinds == {**keys, "scheduled_departure": "datetime"}
    assert features.keys.features["hour"] == ("flight_id",)
    assert features.keys.features["wind"] == ("station",)
    assert online_features.online_features_of(None) is None
