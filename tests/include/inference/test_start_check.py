from __future__ import annotations

import json

import numpy as np
import pytest

from include.declarations import Serving
from include.errors import ModelError
from include.inference.model import Interface, ServedModel, _load_twin
from include.inference.start_check import (
    check_packages,
    check_predictions,
    present_version,
    with_checked_twin,
)
from include.inference.twin.compiled import load_twin, write_twin
from include.inference.twin.encoder import Encoder, NumberColumn


class Constant:
    def __init__(self, value):
        self.value = value

    def predict(self, rows):
        return np.full(len(rows), self.value)


@pytest.fixture
def start(tmp_path):
    """Return a function that checks a model which predicted 2.0 in training."""
    golden = {"dataframe_split": {"columns": ["x"], "data": [[1.0], [2.0]]}, "predictions": [2.0, 2.0]}
    (tmp_path / "golden.json").write_text(json.dumps(golden))

    def check(value, **declared):
        model = ServedModel(Constant(value), Interface("one", "regression", {"x": "double"}, (0, 9)))
        return check_predictions(tmp_path, model, Serving(**declared))

    return check


def test_same_packages_and_predictions_are_silent(start):
    environment = {name: present_version(name) for name in ("python", "numpy")}
    assert check_packages(environment, Serving(other_packages="refuse")) == ()
    assert start(2.0) == ()
    assert start(2.0 + 1e-15) == ()


def test_package_without_golden_rows_is_silent(start, tmp_path):
    (tmp_path / "golden.json").unlink()
    assert start(2.5) == ()


def test_other_predictions_are_refused_or_warned_of(start):
    with pytest.raises(ModelError, match=r"predictions of 2 golden rows differ .* by up to 0.5"):
        start(2.5)
    (warning,) = start(2.5, other_predictions="warn")
    assert "golden rows differ" in warning


def test_estimator_that_raises_is_refused_or_warned_of(start):
    with pytest.raises(ModelError, match=r"golden rows cannot be predicted: ValueError: .*Install the pack"):
        start("no number")
    (warning,) = start("no number", other_predictions="warn")
    assert "cannot be predicted" in warning


def test_other_packages_are_warned_of_or_refused():
    environment = {"numpy": "0.1", "no-such-package": "1", "python": present_version("python")}
    (warning,) = check_packages(environment, Serving())
    assert f"numpy {present_version('numpy')} instead of 0.1" in warning
    assert "no-such-package not installed instead of 1" in warning
    assert "python" not in warning
    with pytest.raises(ModelError, match="packages are not those of the training"):
        check_packages(environment, Serving(other_packages="refuse"))


def test_packages_that_do_not_predict_are_not_compared():
    refuse = Serving(other_packages="refuse")
    assert check_packages({"mlflow": "0.1"}, refuse) == ()
    onnx = Serving(runtime="onnx", other_packages="refuse")
    assert check_packages({"lightgbm": "0.1", "scikit-learn": "0.1"}, onnx) == ()
    with pytest.raises(ModelError, match=r"onnxruntime .* instead of 0\.1"):
        check_packages({"onnxruntime": "0.1"}, onnx)


@pytest.fixture
def with_twin(tmp_path, start):
    """Return a function that checks a twin which predicts `value`, of a model that predicts 2.0."""

    def check(value):
        parameters = {"n_outputs": 1, "link": "identity"}
        write_twin(
            tmp_path, "linear", Encoder((NumberColumn("x"),)), np.array([value, 0.0]).tobytes(), parameters
        )
        twin = load_twin(tmp_path, "regression")
        model = ServedModel(Constant(2.0), Interface("one", "regression", {"x": "double"}, (0, 9)), twin)
        return with_checked_twin(tmp_path, model)

    return check


def test_a_twin_that_predicts_the_golden_rows_stays(with_twin):
    model, warnings = with_twin(2.0 + 1e-12)
    assert model.twin is not None
    assert warnings == ()


def test_a_twin_that_predicts_differently_is_left_out(with_twin):
    model, (warning,) = with_twin(2.001)
    assert model.twin is None
    assert (
        "the compiled twin is not used: its predictions of the golden rows differ by up to 0.001" in warning
    )
    assert model.predict_columns({"x": [1.0]}, 1).tolist() == [2.0]


def test_a_twin_that_cannot_be_loaded_is_warned_of(with_twin, tmp_path, caplog):
    with_twin(2.0)
    (tmp_path / "twin" / "twin.bin").write_bytes(b"cut")
    assert _load_twin(tmp_path, "regression") is None
    assert "the compiled twin is not used" in caplog.text
    model = ServedModel(Constant(2.0), Interface("one", "regression", {"x": "double"}, (0, 9)))
    _, (warning,) = with_checked_twin(tmp_path, model)
    assert "cannot be loaded" in warning
