from __future__ import annotations

import json

import pytest

from include.inference.baseline_table import BASELINE, BaselineTable
from include.release.rollout import ReleaseState
from include.serving import paths
from include.serving.fallback.answers import predict_fallback, prepare_fallback
from tests.small_models import home_at

BODY = json.dumps({"dataframe_records": [{"hour": 5}, {"hour": 23}]}).encode()


@pytest.fixture
def home(tmp_path):
    with home_at(tmp_path / "home") as folder:
        yield folder


def switched_off(**fallback):
    return ReleaseState("delay", champion=3, fallback={"reason": "wrong"} | fallback)


def predict():
    return predict_fallback(paths.fallback_file("delay"), BODY, "application/json")


def test_constant_is_predicted_for_each_row(home):
    assert prepare_fallback(switched_off(kind="constant", value=0.2)) == ""
    assert predict() == ("constant", [0.2, 0.2])


def test_baseline_is_looked_up_by_its_columns(home):
    file = paths.model_folder("delay", 3) / BASELINE
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(BaselineTable(("hour",), 0.2, {(5,): 0.1}).as_json()))
    assert prepare_fallback(switched_off(kind="baseline", version=3)) == ""
    assert predict() == ("baseline", [0.1, 0.2])


def test_version_without_a_baseline_is_a_problem(home):
    problem = prepare_fallback(switched_off(kind="baseline", version=3))
    assert problem == "version 3 has no baseline.json; switch off with another fallback"
    assert predict() is None


@pytest.mark.parametrize("kind", ["unavailable", "previous"])
def test_other_fallbacks_need_no_file(home, kind):
    assert prepare_fallback(switched_off(kind=kind, version=2)) == ""
    assert not paths.fallback_file("delay").exists()
    assert predict() is None


def test_changed_fallback_is_answered_next(home):
    for value in (0.2, 0.3):
        prepare_fallback(switched_off(kind="constant", value=value))
        assert predict() == ("constant", [value, value])
