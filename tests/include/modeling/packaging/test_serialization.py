from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import yaml
from lightgbm import LGBMClassifier
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from include.declarations import Serving
from include.errors import CertificateInvalid, DataError, DeclarationError
from include.inference.onnx_model import OnnxModel
from include.modeling.evaluation.metrics import predict
from include.modeling.packaging.package import (
    BACKGROUND,
    GOLDEN,
    SOURCE,
    _check_size,
    load_package,
    model_digest,
    packaging_parity,
    save,
)
from include.modeling.packaging.serialization import requirements, serialize
from include.settings import settings
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.flight_delay import CATEGORIES, NUMBERS
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY

REPOSITORY = Path(__file__).parents[4]
OWN_PACKAGE = """
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

class Evening(TransformerMixin, BaseEstimator):
    def fit(self, rows, target=None):
        self.fitted_ = True
        return self

    def transform(self, rows):
        return np.cos(rows[["hour"]].to_numpy() * STEP)
"""
IN_A_STRANGERS_PROCESS = """
import sys
sys.modules["include.use_cases"] = sys.modules["own_package"] = None  # importing one of them fails
from pathlib import Path
from include.modeling.packaging.package import digest, load, parity
folder = Path(sys.argv[1])
print(parity(folder, load(folder, expected=digest(folder))))
"""


def fitted(estimator, rows, *, one_hot=False):
    encoder = (
        OneHotEncoder(handle_unknown="ignore")
        if one_hot
        else OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    )
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = make_column_transformer((encoder, list(CATEGORIES)), (numbers, list(NUMBERS)))
    return make_pipeline(columns, estimator).fit(rows[list(FLIGHT_DELAY.features)], rows["target"])


def described(folder):
    return yaml.safe_load((folder / "MLmodel").read_text())


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(max_iter=500),
        RandomForestClassifier(5, random_state=0),
        GradientBoostingClassifier(n_estimators=5),
        LGBMClassifier(n_estimators=5, verbose=-1),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_what_skops_can_carry_is_no_pickle_and_the_same_bytes_each_time(flights, estimator):
    rows = flights(days=20)
    model, sample = fitted(estimator, rows), rows[list(FLIGHT_DELAY.features)]
    kept = serialize(model, FLIGHT_DELAY, sample)
    assert (kept.form, kept.reason) == ("skops", "")
    assert serialize(model, FLIGHT_DELAY, sample).content == kept.content


def test_our_own_use_cases_need_no_pickle(packaged, estimators, flights, tmp_path):
    assert described(packaged)["flavors"]["sklearn"]["serialization_format"] == "skops"
    save(estimators["air_time"], AIR_TIME, flights(task="regression"), tmp_path / "model")
    assert described(tmp_path / "model")["flavors"]["sklearn"]["serialization_format"] == "skops"


@pytest.fixture
def own(flights, tmp_path, monkeypatch):
    """Return the folder of a model that is made of a package of its owner's."""
    package = tmp_path / "own" / "own_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from own_package.evening import Evening\n")
    (package / "evening.py").write_text(f"STEP = 0.26\n{OWN_PACKAGE}")
    monkeypatch.syspath_prepend(package.parent)
    module = types.ModuleType("include.use_cases.own")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    from own_package import Evening

    rows = flights(days=20)
    use_case = FLIGHT_DELAY.model_copy(
        update={"name": "own", "features": ("hour",), "code": ("own_package",)}
    )
    model = make_pipeline(Evening(), LogisticRegression()).fit(rows[["hour"]], rows["target"])
    save(model, use_case, rows, tmp_path / "model")
    for name in [name for name in sys.modules if name.startswith("own_package")]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path / "model"


def test_a_model_of_its_owners_package_answers_where_that_is_not_installed(own, tmp_path):
    command = [sys.executable, "-c", IN_A_STRANGERS_PROCESS, str(own)]
    (tmp_path / "elsewhere").mkdir()
    run = subprocess.run(
        command, capture_output=True, text=True, check=False,
        cwd=tmp_path / "elsewhere", env={"PYTHONPATH": str(REPOSITORY), "HOME": str(tmp_path)},
    )  # fmt: skip
    assert run.stdout.strip() == "(50, 0.0)", run.stderr


def test_the_text_of_its_code_and_the_reason_for_the_pickle_travel_with_it(own):
    assert "class Evening" in (own / SOURCE / "own_package" / "evening.py").read_text()
    about = described(own)
    assert about["flavors"]["sklearn"]["serialization_format"] == "cloudpickle"
    assert "own_package.evening.Evening" in about["metadata"]["airworthy"]["why_no_skops"]


def test_where_pickles_are_not_allowed_none_is_loaded(own, packaged, monkeypatch):
    monkeypatch.setenv("AIRWORTHY_ALLOW_PICKLE", "false")
    settings.cache_clear()
    with pytest.raises(CertificateInvalid, match="AIRWORTHY_ALLOW_PICKLE"):
        load_package(own, expected=model_digest(own))
    assert load_package(packaged, expected=model_digest(packaged)).estimator is not None
    settings.cache_clear()


def test_code_that_cannot_be_imported_is_named(packaged, estimators, flights, tmp_path):
    use_case = FLIGHT_DELAY.model_copy(update={"code": ("no_such_package",)})
    with pytest.raises(DeclarationError, match="no_such_package"):
        save(estimators["flight_delay"], use_case, flights(days=2), tmp_path / "model")


def test_the_requirements_name_what_the_model_needs_and_no_more(flights):
    names = {
        line.split("==")[0]
        for line in requirements(fitted(LGBMClassifier(verbose=-1), flights()), FLIGHT_DELAY)
    }
    assert {"lightgbm", "scikit-learn", "pandas", "numpy"} <= names
    assert not {"xgboost", "great-expectations", "feast", "apache-airflow"} & names


def test_rows_of_the_training_travel_as_background(packaged):
    content = json.loads((packaged / BACKGROUND).read_text())["dataframe_split"]
    assert content["columns"] == list(FLIGHT_DELAY.features)
    assert len(content["data"]) == 100


def test_a_model_that_is_larger_than_declared_is_refused(estimators, flights, tmp_path):
    small = FLIGHT_DELAY.model_copy(update={"serving": Serving(maximum_megabytes=0.01)})
    with pytest.raises(DataError, match=r"has 0\.\d MB, and serving\.maximum_megabytes is 0\.01"):
        save(estimators["flight_delay"], small, flights(), tmp_path / "model")


def test_a_model_of_more_than_500_mb_is_refused_unless_more_is_declared(packaged):
    with (packaged / "weights.bin").open("wb") as weights:
        weights.truncate(500_000_000)
    with pytest.raises(DataError, match=r"has 500\.\d MB, and serving\.maximum_megabytes is 500\. Train a"):
        _check_size(FLIGHT_DELAY, packaged)
    _check_size(FLIGHT_DELAY.model_copy(update={"serving": Serving(maximum_megabytes=600)}), packaged)


ONNX = FLIGHT_DELAY.model_copy(update={"serving": Serving(runtime="onnx")})


def test_a_graph_serves_alone_and_answers_as_the_model(flights, tmp_path):
    rows = flights()
    model = fitted(LogisticRegression(max_iter=500), rows, one_hot=True)
    save(model, ONNX, rows, tmp_path / "model")
    served = load_package(tmp_path / "model", expected=model_digest(tmp_path / "model"))
    assert isinstance(served.estimator, OnnxModel)
    assert packaging_parity(tmp_path / "model", served) == (50, 0.0)
    others = flights(seed=5)
    expected = predict(model, "binary", others[list(FLIGHT_DELAY.features)])
    np.testing.assert_allclose(served.predict(others), expected, atol=1e-5)
    assert json.loads((tmp_path / "model" / GOLDEN).read_text())["tolerance"] == ONNX.serving.tolerance


def test_a_graph_of_a_regression_answers_as_the_model(flights, tmp_path):
    rows = flights(task="regression")
    use_case = AIR_TIME.model_copy(
        update={"features": FLIGHT_DELAY.features, "serving": Serving(runtime="onnx", tolerance=1e-2)}
    )
    model = fitted(LinearRegression(), rows, one_hot=True)
    save(model, use_case, rows, tmp_path / "model")
    served = load_package(tmp_path / "model", expected=model_digest(tmp_path / "model"))
    expected = predict(model, "regression", rows[list(FLIGHT_DELAY.features)])
    np.testing.assert_allclose(served.predict(rows), expected, atol=1e-2)


def test_the_same_graph_becomes_the_same_bytes(flights, tmp_path):
    rows = flights()
    model = fitted(LogisticRegression(max_iter=500), rows, one_hot=True)
    for name in ("one", "two"):
        save(model, ONNX, rows, tmp_path / name)
    assert model_digest(tmp_path / "one") == model_digest(tmp_path / "two")


def test_a_graph_that_answers_otherwise_is_refused_with_the_largest_difference(flights, tmp_path):
    rows = flights()
    with pytest.raises(DataError, match=r"differs from the model by up to 0\.\d+ on 2000 rows"):
        save(fitted(RandomForestClassifier(50, random_state=0), rows), ONNX, rows, tmp_path / "model")


def test_a_difference_at_the_tolerance_is_allowed(flights, tmp_path):
    rows = flights(task="regression")
    model = fitted(RandomForestRegressor(3, random_state=0), rows)
    use_case = AIR_TIME.model_copy(
        update={"features": FLIGHT_DELAY.features, "serving": Serving(runtime="onnx", tolerance=1e6)}
    )
    save(model, use_case, rows, tmp_path / "model")
    graph = OnnxModel(tmp_path / "model" / "model.onnx")
    sample = rows[list(FLIGHT_DELAY.features)].head(2000)
    gap = float(np.max(np.abs(graph.predict(sample) - model.predict(sample))))
    assert gap > 0
    exact = use_case.model_copy(update={"serving": Serving(runtime="onnx", tolerance=gap)})
    save(model, exact, rows, tmp_path / "at_the_border")
    below = use_case.model_copy(update={"serving": Serving(runtime="onnx", tolerance=gap * 0.999)})
    with pytest.raises(DataError, match="differs"):
        save(model, below, rows, tmp_path / "below")


def test_an_estimator_without_a_converter_is_refused(estimators, flights, tmp_path):
    with pytest.raises(DataError, match="there is no ONNX graph"):
        save(estimators["flight_delay"], ONNX, flights(), tmp_path / "model")


def test_a_missing_string_is_named_and_not_guessed(flights, tmp_path):
    rows = flights()
    save(fitted(LogisticRegression(max_iter=500), rows, one_hot=True), ONNX, rows, tmp_path / "model")
    holes = rows.head(3).assign(carrier=[None, "AA", "B6"])
    with pytest.raises(DataError, match="1 rows have no carrier"):
        load_package(tmp_path / "model", expected=model_digest(tmp_path / "model")).predict(holes)
