from __future__ import annotations

import json

import numpy as np
import pytest

from include.declarations import Serving
from include.errors import ModelError
from include.inference.model import Interface, ServedModel
from include.inference.start_check import check_packages, check_predictions, present_version


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
