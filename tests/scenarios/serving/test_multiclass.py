"""A multiclass model: packaged, served and logged."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sqlalchemy import select

from include.data.snapshots.target_encoding import encode
from include.database.tables import inference_log
from include.inference import model
from include.modeling.packaging.package import GOLDEN, save_package
from include.serving.model_server.app import ModelServer
from include.settings import settings
from include.use_cases.delay_band import USE_CASE, build_model
from tests.include.conftest import make_flights
from tests.include.serving.conftest import post_invocation

CLASSES = ["on_time", "late", "very_late"]


@pytest.fixture
def server(make_model, home, database_url, monkeypatch):
    monkeypatch.setenv("AIRWORTHY_DATABASE_URL", database_url)
    settings.cache_clear()
    frame = make_flights(days=10, task="regression")
    delay = (frame["hour"] - 14) * 6 + np.random.default_rng(0).normal(0, 20, len(frame))
    target = encode(USE_CASE.label, delay).astype("int64")
    features = frame[list(USE_CASE.features)]
    folder = home / "packaged"
    save_package(build_model(minimum_rows=20).fit(features, target), USE_CASE, frame, folder)
    make_model.certify(folder, USE_CASE.name)
    return ModelServer(USE_CASE.name, 1, model.load_model(folder, settings().trusted_keys)), folder


def test_a_response_has_class_names_and_probabilities(server, database):
    model_server, folder = server
    golden = json.loads((folder / GOLDEN).read_text())
    body = {"dataframe_split": golden["dataframe_split"]}
    content = post_invocation(model_server, {"X-Airworthy-Route": "champion"}, json=body).json()
    assert content["model"] == {"name": "delay_band", "version": 1, "classes": CLASSES}
    np.testing.assert_allclose(content["predictions"], golden["predictions"])
    assert np.shape(content["predictions"]) == (50, 3)
    with database.connect() as connection:
        (logged,) = connection.execute(select(inference_log.c.predictions)).scalars()
    assert logged == content["predictions"]
