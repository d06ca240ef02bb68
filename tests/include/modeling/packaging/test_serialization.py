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
from include.errors import CertificateInvalid, DataError, DeclarationError, PackagingFailed
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
    save_package,
)
from include.modeling.packaging.serialization import needed_modules, require_packaged, requirements, serialize
from include.partitions import format_partition
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
PARITY_PROGRAM = """
import sys
# Importing one of these modules fails.
sys.modules["include.use_cases"] = sys.modules["own_package"] = None
from pathlib import Path
from include.modeling.packaging.package import load_package, model_digest, packaging_parity
folder = Path(sys.argv[1])
print(packaging_parity(folder, load_package(folder, expected=model_digest(folder)))[:2])
"""


def fitted(estimator, rows, *, one_hot=False):
    encoder = (
        OneHotEncoder(handle_unknown="ignore")
        if one_hot
        else OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    )
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = make_column_transformer((encoder, list(CATEGORIES)), (numbers, list(NUMBERS)))
    return make_pipeline(columns, estimator).fit(rows[list(FLIGHT_DELAY.features)], rows["_airworthy_target"])


def read_mlmodel(folder):
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
def test_skops_serializes_common_estimators_reproducibly(flights, estimator):
    rows = flights(days=20)
    model = fitted(estimator, rows)
    sample = rows[list(FLIGHT_DELAY.features)]
    serialized = serialize(model, FLIGHT_DELAY, sample)
    assert (serialized.form, serialized.reason) == ("skops", "")
    assert serialize(model, FLIGHT_DELAY, sample).content == serialized.content


def test_the_example_use_cases_need_no_pickle(packaged, estimators, flights, tmp_path):
    assert read_mlmodel(packaged)["flavors"]["sklearn"]["serialization_format"] == "skops"
    save_package(estimators["air_time"], AIR_TIME, flights(task="regression"), tmp_path / "model")
    assert read_mlmodel(tmp_path / "model")["flavors"]["sklearn"]["serialization_format"] == "skops"


@pytest.fixture
def custom_package(flights, tmp_path, monkeypatch):
    """Return the folder of a model whose classes are in a package that is not installed."""
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
    model = make_pipeline(Evening(), LogisticRegression()).fit(rows[["hour"]], rows["_airworthy_target"])
    save_package(model, use_case, rows, tmp_path / "model")
    for name in [name for name in sys.modules if name.startswith("own_package")]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path / "model"


def test_a_custom_package_is_loaded_where_it_is_not_installed(custom_package, tmp_path):
    command = [sys.executable, "-c", PARITY_PROGRAM, str(custom_package)]
    (tmp_path / "cwd").mkdir()
    run = subprocess.run(
        command, capture_output=True, text=True, check=False,
        cwd=tmp_path / "cwd", env={"PYTHONPATH": str(REPOSITORY), "HOME": str(tmp_path)},
    )  # fmt: skip
    assert run.stdout.strip() == "(50, 0.0)", run.stderr


def test_source_and_reason_for_the_pickle_are_packaged(custom_package):
    assert "class Evening" in (custom_package / SOURCE / "own_package" / "evening.py").read_text()
    description = read_mlmodel(custom_package)
    assert description["flavors"]["sklearn"]["serialization_format"] == "cloudpickle"
    assert "own_package.evening.Evening" in description["metadata"]["airworthy"]["why_no_skops"]


def test_a_pickle_is_not_loaded_where_that_is_forbidden(custom_package, packaged, monkeypatch):
    monkeypatch.setenv("AIRWORTHY_ALLOW_PICKLE", "false")
    settings.cache_clear()
    with pytest.raises(CertificateInvalid, match="AIRWORTHY_ALLOW_PICKLE"):
        load_package(custom_package, expected=model_digest(custom_package))
    assert load_package(packaged, expected=model_digest(packaged)).estimator is not None
    settings.cache_clear()


def test_a_module_that_cannot_be_imported_is_named(packaged, estimators, flights, tmp_path):
    use_case = FLIGHT_DELAY.model_copy(update={"code": ("no_such_package",)})
    with pytest.raises(DeclarationError, match="no_such_package"):
        save_package(estimators["flight_delay"], use_case, flights(days=2), tmp_path / "model")


def test_requirements_contain_imported_packages_only(flights):
    model = fitted(LGBMClassifier(verbose=-1), flights())
    names = {line.split("==")[0] for line in requirements(needed_modules(model, FLIGHT_DELAY), FLIGHT_DELAY)}
    assert "onnxruntime" not in names
    assert "onnxruntime" in {line.split("==")[0] for line in requirements(needed_modules(model, ONNX), ONNX)}
    assert {"lightgbm", "scikit-learn", "pandas", "numpy"} <= names
    assert not {"xgboost", "great-expectations", "feast", "apache-airflow"} & names


def test_background_rows_are_packaged(packaged):
    content = json.loads((packaged / BACKGROUND).read_text())["dataframe_split"]
    assert content["columns"] == list(FLIGHT_DELAY.features)
    assert len(content["data"]) == 100


def test_a_model_larger_than_declared_is_refused(estimators, flights, tmp_path):
    small = FLIGHT_DELAY.model_copy(update={"serving": Serving(maximum_megabytes=0.01)})
    with pytest.raises(PackagingFailed, match=r"has 0\.\d MB, and serving\.maximum_megabytes is 0\.01"):
        save_package(estimators["flight_delay"], small, flights(), tmp_path / "model")


def test_a_model_above_500_mb_needs_a_declared_maximum(packaged):
    with (packaged / "weights.bin").open("wb") as weights:
        weights.truncate(500_000_000)
    with pytest.raises(
        PackagingFailed, match=r"has 500\.\d MB, and serving\.maximum_megabytes is 500\. Train a smaller"
    ):
        _check_size(FLIGHT_DELAY, packaged)
    _check_size(FLIGHT_DELAY.model_copy(update={"serving": Serving(maximum_megabytes=600)}), packaged)


ONNX = FLIGHT_DELAY.model_copy(update={"serving": Serving(runtime="onnx")})


def test_an_onnx_graph_predicts_like_the_classifier(flights, tmp_path):
    rows = flights()
    model = fitted(LogisticRegression(max_iter=500), rows, one_hot=True)
    save_package(model, ONNX, rows, tmp_path / "model")
    served = load_package(tmp_path / "model", expected=model_digest(tmp_path / "model"))
    assert isinstance(served.estimator, OnnxModel)
    assert packaging_parity(tmp_path / "model", served)[:2] == (50, 0.0)
    others = flights(seed=5)
    expected = predict(model, "binary", others[list(FLIGHT_DELAY.features)])
    np.testing.assert_allclose(served.predict(others), expected, atol=1e-5)
    assert json.loads((tmp_path / "model" / GOLDEN).read_text())["tolerance"] == ONNX.serving.tolerance


def test_an_onnx_graph_predicts_like_the_regression(flights, tmp_path):
    rows = flights(task="regression")
    use_case = AIR_TIME.model_copy(
        update={"features": FLIGHT_DELAY.features, "serving": Serving(runtime="onnx", tolerance=1e-2)}
    )
    model = fitted(LinearRegression(), rows, one_hot=True)
    save_package(model, use_case, rows, tmp_path / "model")
    served = load_package(tmp_path / "model", expected=model_digest(tmp_path / "model"))
    expected = predict(model, "regression", rows[list(FLIGHT_DELAY.features)])
    np.testing.assert_allclose(served.predict(rows), expected, atol=1e-2)


def test_the_same_onnx_graph_has_the_same_digest(flights, tmp_path):
    rows = flights()
    model = fitted(LogisticRegression(max_iter=500), rows, one_hot=True)
    for name in ("first", "second"):
        save_package(model, ONNX, rows, tmp_path / name)
    assert model_digest(tmp_path / "first") == model_digest(tmp_path / "second")


def test_a_different_onnx_graph_is_refused(flights, tmp_path):
    rows = flights()
    with pytest.raises(PackagingFailed, match=r"differs from the model by up to 0\.\d+ on 2000 rows"):
        save_package(fitted(RandomForestClassifier(50, random_state=0), rows), ONNX, rows, tmp_path / "model")


def test_a_difference_equal_to_the_tolerance_is_allowed(flights, tmp_path):
    rows = flights(task="regression")
    model = fitted(RandomForestRegressor(3, random_state=0), rows)
    use_case = AIR_TIME.model_copy(
        update={"features": FLIGHT_DELAY.features, "serving": Serving(runtime="onnx", tolerance=1e6)}
    )
    save_package(model, use_case, rows, tmp_path / "model")
    graph = OnnxModel(tmp_path / "model" / "model.onnx")
    sample = rows[list(FLIGHT_DELAY.features)].head(2000)
    gap = float(np.max(np.abs(graph.predict(sample) - model.predict(sample))))
    assert gap > 0
    exact = use_case.model_copy(update={"serving": Serving(runtime="onnx", tolerance=gap)})
    save_package(model, exact, rows, tmp_path / "equal")
    below = use_case.model_copy(update={"serving": Serving(runtime="onnx", tolerance=gap * 0.999)})
    with pytest.raises(PackagingFailed, match="differs"):
        save_package(model, below, rows, tmp_path / "below")


def test_an_estimator_without_onnx_converter_is_refused(estimators, flights, tmp_path):
    with pytest.raises(PackagingFailed, match="cannot be converted to ONNX"):
        save_package(estimators["flight_delay"], ONNX, flights(), tmp_path / "model")


def test_a_missing_string_is_refused_by_an_onnx_graph(flights, tmp_path):
    rows = flights()
    save_package(fitted(LogisticRegression(max_iter=500), rows, one_hot=True), ONNX, rows, tmp_path / "model")
    incomplete = rows.head(3).assign(carrier=[None, "AA", "B6"])
    with pytest.raises(DataError, match="1 rows have no carrier"):
        load_package(tmp_path / "model", expected=model_digest(tmp_path / "model")).predict(incomplete)


def test_module_of_the_project_must_be_packaged():
    model = {"step": format_partition, "encoder": OrdinalEncoder()}
    with pytest.raises(PackagingFailed, match=r"air_time: the model needs include\.partitions, not packaged"):
        require_packaged(needed_modules(model, AIR_TIME), AIR_TIME)
    # Code that is packaged names its parent package, which the model does not need.
    packaged = AIR_TIME.model_copy(update={"code": ("include.partitions",)})
    require_packaged(needed_modules(model, packaged), packaged)


def test_text_like_the_name_of_a_module_is_no_need():
    modules = needed_modules({"categories": ["include.partitions", "lightgbm"]}, AIR_TIME)
    require_packaged(modules, AIR_TIME)
    assert not [line for line in requirements(modules, AIR_TIME) if line.startswith("lightgbm")]
