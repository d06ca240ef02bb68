"""Compiled twins of estimators of every kind, and of estimators that have none."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)

from include.catalog import catalog
from include.feature_values import estimator_frame, request_values
from include.inference.twin.compiled import FOLDER, describe_twin, load_twin
from include.modeling.evaluation.metrics import predict
from include.modeling.packaging.twin import package_twin

KINDS = {"carrier": "string?", "hour": "long", "temp": "double?", "wet": "boolean", "distance": "double"}
NUMBERS = ["hour", "temp", "wet", "distance"]
USE_CASES = {
    "binary": catalog().use_cases["flight_delay"],
    "regression": catalog().use_cases["air_time"],
    "multiclass": catalog().use_cases["delay_band"],
    "anomaly": catalog().use_cases["flight_delay"].model_copy(update={"task": "anomaly"}),
}


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    random = np.random.default_rng(7)
    n = 400
    frame = pd.DataFrame(
        {
            "carrier": random.choice(["UA", "AA", "B6", None], n),
            "hour": random.integers(0, 24, n),
            "temp": np.where(random.random(n) < 0.1, np.nan, random.normal(60, 20, n)),
            "wet": random.random(n) < 0.3,
            "distance": random.normal(1000, 300, n),
        }
    )
    return estimator_frame(frame, KINDS)


def target(rows: pd.DataFrame, task: str) -> np.ndarray:
    noise = np.random.default_rng(8).normal(size=len(rows)) * 3
    values = rows["hour"].to_numpy() + 5 * (rows["carrier"] == "UA").to_numpy() + noise
    return {"binary": values > 12, "multiclass": np.digitize(values, [8, 16])}.get(task, values)


def ordinal():
    return make_column_transformer(
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["carrier"]),
        remainder="passthrough",
    )


def one_hot(*numeric):
    constant = SimpleImputer(strategy="constant", fill_value="none")
    text = make_pipeline(constant, OneHotEncoder(handle_unknown="ignore"))
    return make_column_transformer((text, ["carrier"]), (make_pipeline(SimpleImputer(), *numeric), NUMBERS))


CASES = {
    "hist": ("binary", "treelite", (ordinal(), HistGradientBoostingClassifier(max_iter=20))),
    "hist_several": ("multiclass", "treelite", (ordinal(), HistGradientBoostingClassifier(max_iter=10))),
    "hist_regression": ("regression", "treelite", (ordinal(), HistGradientBoostingRegressor(max_iter=20))),
    "lightgbm": ("regression", "treelite", (ordinal(), LGBMRegressor(n_estimators=20, verbose=-1))),
    "lightgbm_several": ("multiclass", "treelite", (ordinal(), LGBMClassifier(n_estimators=10, verbose=-1))),
    "forest": ("multiclass", "treelite", (one_hot(), RandomForestClassifier(10, random_state=0))),
    "extra_trees": ("regression", "treelite", (one_hot(), ExtraTreesRegressor(10, random_state=0))),
    "boosting": ("binary", "treelite", (one_hot(), GradientBoostingClassifier(n_estimators=10))),
    "isolation": ("anomaly", "treelite", (one_hot(), IsolationForest(n_estimators=10, random_state=0))),
    "logistic": ("binary", "linear", (one_hot(StandardScaler()), LogisticRegression())),
    "logistic_several": (
        "multiclass",
        "linear",
        (one_hot(MinMaxScaler()), LogisticRegression(max_iter=1000)),
    ),
    "network": ("regression", "onnx", (one_hot(StandardScaler()), MLPRegressor(max_iter=20, random_state=0))),
    "target_encoder": (
        "regression",
        "linear",
        (
            make_column_transformer(
                (TargetEncoder(), ["carrier"]), (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS)
            ),
            Ridge(),
        ),
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", list(CASES))
def test_a_twin_predicts_as_its_estimator(rows, tmp_path, name) -> None:
    task, kind, steps = CASES[name]
    use_case = USE_CASES[task]
    estimator = make_pipeline(*steps).fit(rows, target(rows, task))
    frames = {"training": rows.head(200), "test": rows.tail(100)}
    assert package_twin(estimator, use_case, KINDS, frames, tmp_path) == ""
    evidence = describe_twin(tmp_path)
    assert evidence["kind"] == kind
    assert evidence["largest_gap"] <= evidence["tolerance"] <= 1e-5
    assert evidence["rows"]["training"] == 200
    assert evidence["rows"]["adversarial"] > 100
    columns = {column: request_values(rows[column], kind) for column, kind in KINDS.items()}
    expected = predict(estimator, task, rows)
    scale = np.abs(expected).max()
    twin = load_twin(tmp_path, task)
    np.testing.assert_allclose(twin.predict(columns, len(rows)), expected, atol=evidence["tolerance"] * scale)


@pytest.mark.filterwarnings("ignore")
def test_the_same_estimator_gives_the_same_files(rows, tmp_path) -> None:
    estimator = make_pipeline(ordinal(), HistGradientBoostingClassifier(max_iter=5))
    estimator.fit(rows, target(rows, "binary"))
    files = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        assert package_twin(estimator, USE_CASES["binary"], KINDS, {"training": rows}, folder) == ""
        files.append({file.name: file.read_bytes() for file in (folder / FOLDER).iterdir()})
    assert files[0] == files[1]


class Own(RegressorMixin, BaseEstimator):
    def fit(self, x, y):
        return self

    def predict(self, x):
        return np.zeros(len(x))


class Different(HistGradientBoostingRegressor):
    """An estimator that changes what its trees predict."""

    def predict(self, x):
        return super().predict(x) * 1.001


Different.__module__ = "sklearn.ensemble._hist"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((ordinal(), Own()), "Own cannot be converted"),
        ((ordinal(), Different(max_iter=5)), "the twin differs by|does not import"),
        ((FunctionTransformer(lambda frame: frame), ordinal(), Ridge()), "carrier"),
        (
            (make_column_transformer((OrdinalEncoder(), ["hour"]), remainder="passthrough"), Ridge()),
            "carrier",
        ),
        ((one_hot(), GaussianNB()), "the twin differs by"),
    ],
)
def test_an_estimator_without_an_equal_has_no_twin(rows, tmp_path, steps, message) -> None:
    task = "binary" if isinstance(steps[-1], GaussianNB) else "regression"
    estimator = make_pipeline(*steps)
    if message == "carrier":
        estimator.steps[-1] = ("last", Own())
    estimator.fit(rows, target(rows, task))
    reason = package_twin(estimator, USE_CASES[task], KINDS, {"training": rows}, tmp_path)
    assert re.search(message, reason), reason
    assert not (tmp_path / FOLDER).exists()
