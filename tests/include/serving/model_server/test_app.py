from __future__ import annotations

import json
import logging

import pytest
from sqlalchemy import select

from include.database.tables import inference_log
from include.inference.model import load_model
from include.inference.scoring_protocol import MAX_BODY_BYTES
from include.serving.model_server.app import CANNOT_SERVE, ModelServer, serve_version, warm_up
from include.settings import settings
from tests.include.serving.conftest import post_invocation
from tests.small_models import ROW


@pytest.fixture
def model_server(model, database_url, monkeypatch) -> ModelServer:
    monkeypatch.setenv("AIRWORTHY_DATABASE_URL", database_url)
    settings.cache_clear()
    return ModelServer("delay", 1, model)


def logged_roles(database) -> list[tuple[str, int]]:
    with database.connect() as connection:
        rows = connection.execute(select(inference_log.c.role, inference_log.c.status))
        return [tuple(row) for row in rows]


@pytest.mark.parametrize(
    ("route", "role"),
    [("champion", "champion"), ("challenger=1", "challenger"), ("challenger=2", "champion")],
)
def test_the_route_gives_the_role(model_server, database, route, role) -> None:
    response = post_invocation(model_server, {"X-Airworthy-Route": route}, json={"instances": [ROW]})
    assert response.status_code == 200
    assert logged_roles(database) == [(role, 200)]


def test_a_request_without_a_route_is_not_logged(model_server, database) -> None:
    assert post_invocation(model_server, json={"instances": [ROW]}).status_code == 200
    assert logged_roles(database) == []


@pytest.mark.parametrize(("route", "status"), [("champion", 400), ("challenger=1", 425)])
def test_a_challenger_answers_425_to_a_bad_request(model_server, database, route, status) -> None:
    response = post_invocation(model_server, {"X-Airworthy-Route": route}, json={"instances": []})
    assert response.status_code == status
    assert response.json()["error_code"] == "BAD_REQUEST"
    assert [logged for _, logged in logged_roles(database)] == [400]


def test_a_body_beyond_the_limit_is_413(model_server) -> None:
    response = post_invocation(model_server, content=b" " * (MAX_BODY_BYTES + 1))
    assert response.status_code == 413
    assert f"more than {MAX_BODY_BYTES} bytes" in response.json()["message"]


def test_a_version_that_cannot_be_loaded_exits_with_the_error(make_model, capsys) -> None:
    folder = make_model("delay", 1)
    (folder / "certificate.json").unlink()
    assert serve_version("delay", 1, folder, port=0) == CANNOT_SERVE
    assert "certificate.json is missing" in json.loads(capsys.readouterr().err)["error"]


def test_a_version_with_other_predictions_exits(make_model, capsys) -> None:
    folder = make_model("delay", 1, answer=0.5)
    rows = {"columns": list(ROW), "data": [list(ROW.values())]}
    (folder / "golden.json").write_text(json.dumps({"dataframe_split": rows, "predictions": [0.7]}))
    (folder / "certificate.json").unlink()
    make_model.certify(folder, "delay")
    assert serve_version("delay", 1, folder, port=0) == CANNOT_SERVE
    assert "of 1 golden rows differ" in json.loads(capsys.readouterr().err)["error"]


def test_a_failed_warm_up_is_logged(make_model, caplog) -> None:
    make_model.mood(1).write_text("fail")
    failing = load_model(make_model("delay", 1), settings().trusted_keys)
    with caplog.at_level(logging.INFO):
        warm_up(failing)
    assert "the warm-up failed" in caplog.text
