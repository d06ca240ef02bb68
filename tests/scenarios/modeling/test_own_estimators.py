"""Estimators that are not scikit-learn's: of a required package, and plain classes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from include.data.snapshots.splits import Splits
from include.declarations.relations.requirements import check_requirements, installed_version
from include.errors import TrainingFailed
from include.modeling.packaging.package import save_package
from include.modeling.training.fit import fit_candidate
from include.modeling.training.learning_curve import learning_curve
from include.use_cases.flight_delay import USE_CASE

ROOT = Path(__file__).parents[3]
# An estimator of a package that has fit and predict_proba, and nothing else of scikit-learn.
STAND_IN = """
import numpy as np

class StandInClassifier:
    def fit(self, rows, target):
        self.rate = target.groupby(rows["hour"]).mean()
        return self

    def predict_proba(self, rows):
        late = rows["hour"].map(self.rate).fillna(0.5).to_numpy()
        return np.column_stack([1 - late, late])
"""
METADATA = "Metadata-Version: 2.1\nName: stand-in-boost\nVersion: 1.2\n"
LOAD = """
import sys
from pathlib import Path
from include.inference.model import load_unverified
import pandas as pd
model = load_unverified(Path(sys.argv[1]))
rows = pd.read_pickle(sys.argv[2])
print(model.predict(rows).tolist())
"""


@pytest.fixture
def splits(flights):
    frame = flights(days=20)
    days = frame["_airworthy_day"]
    return Splits(
        frame[days < "2013-01-13"],
        frame[(days >= "2013-01-13") & (days < "2013-01-16")],
        frame[days > "2013-01-16"],
    )


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Install a package with an estimator for this test; return its folder."""
    folder = tmp_path / "site"
    metadata = folder / "stand_in_boost-1.2.dist-info"
    metadata.mkdir(parents=True)
    (folder / "stand_in_boost.py").write_text(STAND_IN)
    (metadata / "METADATA").write_text(METADATA)
    (metadata / "RECORD").write_text("stand_in_boost.py,,\n")
    monkeypatch.syspath_prepend(folder)
    installed_version.cache_clear()
    yield folder
    sys.modules.pop("stand_in_boost", None)
    installed_version.cache_clear()


def test_estimator_of_a_required_package_is_served(package, splits, tmp_path):
    import stand_in_boost

    use_case = USE_CASE.model_copy(update={"requirements": ("stand-in-boost>=1",)})
    check_requirements(use_case)
    trained = fit_candidate(use_case, stand_in_boost.StandInClassifier(), splits)
    assert learning_curve(use_case, trained.estimator, splits.train, splits.validation) is None
    folder = tmp_path / "model"
    save_package(trained.estimator, use_case, splits.train, folder)
    assert "stand-in-boost==1.2" in (folder / "requirements.txt").read_text().splitlines()
    assert yaml.safe_load((folder / "MLmodel").read_text())["metadata"]["airworthy"]["form"] == "cloudpickle"
    rows = splits.test.head(3)
    rows.to_pickle(tmp_path / "rows")
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{package}"}
    command = [sys.executable, "-c", LOAD, str(folder), str(tmp_path / "rows")]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    expected = trained.estimator.predict_proba(rows)[:, 1]
    assert np.allclose(yaml.safe_load(loaded.stdout), expected)


class Plain:
    """A classifier without get_params."""

    def fit(self, rows, target):
        self.rate_ = target.groupby(rows["hour"]).mean()
        return self

    def predict_proba(self, rows):
        late = rows["hour"].map(self.rate_).fillna(0.5).to_numpy()
        return np.column_stack([1 - late, late])


class Aimless:
    """Something that can be fitted, and predicts nothing."""

    def fit(self, rows, target):
        return self


def test_plain_class_in_a_pipeline_is_refused(splits):
    pipeline = Pipeline([("same", FunctionTransformer()), ("model", Plain())])
    with pytest.raises(TrainingFailed, match=r"Plain of build_model\(\) is the last step .*BaseEstimator"):
        fit_candidate(USE_CASE, pipeline, splits)


@pytest.mark.parametrize(
    "estimator", [Aimless(), Pipeline([("same", FunctionTransformer()), ("model", Aimless())])]
)
def test_class_that_cannot_predict_is_refused_before_a_fit(splits, estimator, monkeypatch):
    monkeypatch.setattr(Aimless, "fit", lambda *_: pytest.fail("it was fitted"))
    with pytest.raises(TrainingFailed, match=r"Aimless of build_model\(\) has no predict_proba"):
        fit_candidate(USE_CASE, estimator, splits)
