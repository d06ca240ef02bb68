from __future__ import annotations

import json
import sys
import types

import mlflow.pyfunc
import numpy as np
import pytest

from include.errors import CertificateInvalid, DataError
from include.inference.model import ServedModel, read_interface
from include.modeling.evaluation.metrics import predict
from include.modeling.packaging.package import (
    GOLDEN,
    load_package,
    model_digest,
    packaging_parity,
    save_package,
)
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY

OWN_MODULE = """
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

class HourClassifier(ClassifierMixin, BaseEstimator):
    def predict_proba(self, rows):
        late = rows["hour"].to_numpy() / 24
        return np.column_stack([1 - late, late])
"""


def test_a_package_describes_inputs_and_outputs(packaged):
    interface = read_interface(packaged)
    assert interface.use_case == "flight_delay"
    assert interface.task == "binary"
    assert interface.prediction_range == (0, 1)
    assert interface.features == FLIGHT_DELAY.features
    assert {interface.columns[name] for name in ("carrier", "hour", "wind")} == {"string", "long", "double?"}


def test_a_loaded_package_predicts_like_the_estimator(packaged, estimators, flights):
    rows = flights(seed=7)[list(FLIGHT_DELAY.features)]
    expected = predict(estimators["flight_delay"], "binary", rows)
    np.testing.assert_array_equal(
        load_package(packaged, expected=model_digest(packaged)).predict(rows), expected
    )


def test_mlflow_loads_the_package(packaged, estimators, flights):
    rows = flights(days=1)[list(FLIGHT_DELAY.features)]
    expected = predict(estimators["flight_delay"], "binary", rows)
    np.testing.assert_array_equal(mlflow.pyfunc.load_model(str(packaged)).predict(rows)[:, 1], expected)


def test_golden_rows_are_predicted_identically(packaged):
    model = load_package(packaged, expected=model_digest(packaged))
    assert packaging_parity(packaged, model)[:2] == (50, 0.0)


def test_golden_rows_of_a_regression_are_predicted_identically(estimators, flights, tmp_path):
    save_package(estimators["air_time"], AIR_TIME, flights(task="regression"), tmp_path / "model")
    model = load_package(tmp_path / "model", expected=model_digest(tmp_path / "model"))
    assert packaging_parity(tmp_path / "model", model)[:2] == (50, 0.0)


def test_parity_reports_a_changed_golden_prediction(packaged):
    content = json.loads((packaged / GOLDEN).read_text())
    content["predictions"][3] += 0.25
    (packaged / GOLDEN).write_text(json.dumps(content))
    model = load_package(packaged, expected=model_digest(packaged))
    _, gap, allowed = packaging_parity(packaged, model)
    assert gap == pytest.approx(0.25)
    assert allowed <= 1e-9


def test_parity_reports_predictions_that_are_not_finite(packaged):
    class Broken:
        def predict_proba(self, rows):
            return np.full((len(rows), 2), np.nan)

    _, gap, _ = packaging_parity(packaged, ServedModel(Broken(), read_interface(packaged)))
    assert gap > 1e300


def test_the_same_estimator_has_the_same_digest(packaged, estimators, flights, tmp_path):
    save_package(estimators["flight_delay"], FLIGHT_DELAY, flights(), tmp_path / "again")
    assert model_digest(tmp_path / "again") == model_digest(packaged)


def test_another_estimator_has_another_digest(packaged, flights, tmp_path):
    from include.use_cases.flight_delay import build_model

    frame = flights(seed=1)
    other = build_model().fit(frame[list(FLIGHT_DELAY.features)], frame["_airworthy_target"])
    save_package(other, FLIGHT_DELAY, flights(), tmp_path / "other")
    assert model_digest(tmp_path / "other") != model_digest(packaged)


def test_altered_files_are_not_unpickled(packaged):
    expected = model_digest(packaged)
    (packaged / "model.pkl").write_bytes(b"cos\nsystem\n(S'touch /tmp/owned'\ntR.")
    with pytest.raises(CertificateInvalid, match=expected):
        load_package(packaged, expected=expected)


def test_a_feature_type_that_requests_lack_is_refused(estimators, flights, tmp_path):
    frame = flights(days=2)
    frame["carrier"] = [{"a": 1}] * len(frame)
    with pytest.raises(DataError, match="carrier"):
        save_package(estimators["flight_delay"], FLIGHT_DELAY, frame, tmp_path / "model")


def test_a_missing_feature_is_named_in_the_error(estimators, flights, tmp_path):
    with pytest.raises(DataError, match="humidity"):
        save_package(
            estimators["flight_delay"],
            FLIGHT_DELAY,
            flights(days=2).drop(columns="humidity"),
            tmp_path / "model",
        )


def test_classes_of_the_use_case_module_are_packaged(flights, tmp_path, monkeypatch):
    name = "include.use_cases.own"
    module = types.ModuleType(name)
    exec(OWN_MODULE, module.__dict__)
    monkeypatch.setitem(sys.modules, name, module)
    use_case = FLIGHT_DELAY.model_copy(update={"name": "own", "features": ("hour",)})
    save_package(module.HourClassifier(), use_case, flights(days=2), tmp_path / "model")
    monkeypatch.delitem(sys.modules, name)
    model = load_package(tmp_path / "model", expected=model_digest(tmp_path / "model"))
    assert packaging_parity(tmp_path / "model", model)[:2] == (50, 0.0)


def test_rounding_of_a_single_precision_model_is_allowed(flights, tmp_path):
    class Single:
        def __init__(self, noise=0.0):
            self.noise = noise

        def predict(self, rows):
            return (rows["distance"].to_numpy() * 1e6 * (1 + self.noise)).astype(np.float32)

    use_case = AIR_TIME.model_copy(update={"prediction_range": (0, 1e12)})
    save_package(Single(), use_case, flights(task="regression"), tmp_path / "model")
    for noise, is_rounding in ((1e-6, True), (1e-3, False)):
        model = ServedModel(Single(noise), read_interface(tmp_path / "model"))
        _, gap, allowed = packaging_parity(tmp_path / "model", model)
        assert (gap <= allowed) is is_rounding
