from __future__ import annotations

import json
import subprocess
import sys

import pytest

from include.serving.model_server.explainer import ModelExplainer
from tests.small_models import ROW


def ask(folder, rows):
    return json.dumps({"use_case": "delay", "folder": str(folder), "rows": rows})


def test_process_explains_rows_and_ends_with_its_input(make_model):
    folder = make_model("delay", 1)
    process = subprocess.run(
        [sys.executable, "-m", "include.serving.model_server.explainer"],
        input=ask(folder, [ROW | {"flight_id": "a key"}]) + "\n",
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    ready, response = map(json.loads, process.stdout.splitlines())
    (explanation,) = response["explanations"]
    assert ready == {}
    assert (explanation["base"], explanation["prediction"]) == pytest.approx((0.5, 0.5))
    assert explanation["contributions"] == pytest.approx({"carrier": 0, "hour": 0, "temp": 0})


def test_failures_are_responses(make_model):
    explainer = ModelExplainer()
    folder = make_model("delay", 1)
    make_model.mood(1).write_text("fail")
    failed = explainer.respond(ask(folder, [ROW]))
    assert failed["status"] == 500
    assert "the mood file says fail" in failed["error"]
    unknown = explainer.respond(ask(folder, [{"hour": 7}]))
    assert unknown["status"] == 400
    (folder / "certificate.json").unlink()
    assert "certificate.json is missing" in ModelExplainer().respond(ask(folder, [ROW]))["error"]


def test_package_without_usual_rows_is_named(make_model):
    folder = make_model("delay", 1)
    (folder / "background.json").unlink()
    make_model.certify(folder, "delay")
    assert "has no background.json" in ModelExplainer().respond(ask(folder, [ROW]))["error"]
