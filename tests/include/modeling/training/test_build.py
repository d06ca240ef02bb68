from __future__ import annotations

import sys
from types import ModuleType

import cloudpickle
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from include.errors import TrainingFailed
from include.modeling.training.build import REQUEST_STEP, build_estimator, estimator_builder

ROWS = pd.DataFrame({"price": [10.0, 30.0, 5.0, 8.0], "items": [1, 3, 5, 2]})


def request_features(frame):
    return pd.DataFrame({"unit_price": frame["price"] / frame["items"]})


def module(monkeypatch, **names):
    built = ModuleType("include.use_cases.prices")
    vars(built).update(names)
    monkeypatch.setitem(sys.modules, built.__name__, built)
    return estimator_builder("prices")


@pytest.mark.parametrize("in_pipeline", [True, False])
def test_request_features_are_the_first_step(monkeypatch, in_pipeline):
    def build_model(*, fit_intercept=True):
        regression = LinearRegression(fit_intercept=fit_intercept)
        return make_pipeline(StandardScaler(), regression) if in_pipeline else regression

    build = module(monkeypatch, build_model=build_model, request_features=request_features)
    estimator = build(fit_intercept=False)
    assert isinstance(estimator, Pipeline)
    assert estimator.steps[0][0] == REQUEST_STEP
    assert estimator[-1].fit_intercept is False
    target = ROWS["price"] / ROWS["items"]
    expected = (
        build_model(fit_intercept=False).fit(request_features(ROWS), target).predict(request_features(ROWS))
    )
    assert estimator.fit(ROWS, target).predict(ROWS).tolist() == expected.tolist()


def test_copy_in_another_process_needs_no_module_of_the_use_case(monkeypatch):
    build = module(monkeypatch, build_model=LinearRegression, request_features=request_features)
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        content = cloudpickle.dumps(build().fit(ROWS, ROWS["price"]))
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    assert np.isfinite(cloudpickle.loads(content).predict(ROWS)).all()


def test_without_a_function_the_estimator_stays(monkeypatch):
    assert isinstance(module(monkeypatch, build_model=LinearRegression)(), LinearRegression)


def test_error_of_build_model_names_file_and_line(monkeypatch):
    def build_model(depth):
        raise RuntimeError("no such thing")

    build = module(monkeypatch, build_model=build_model)
    message = r"prices: build_model\(depth\) failed: RuntimeError: no such thing \(.*test_build.py, line \d+"
    with pytest.raises(TrainingFailed, match=message):
        build_estimator("prices", build, {"depth": 3})


def test_model_that_cannot_be_fitted_is_refused(monkeypatch):
    build = module(monkeypatch, build_model=lambda: "a text")
    with pytest.raises(TrainingFailed, match="returns str, which has no method fit"):
        build_estimator("prices", build, {})
    plain = module(monkeypatch, build_model=LinearRegression)
    assert isinstance(build_estimator("prices", plain, {}), LinearRegression)
