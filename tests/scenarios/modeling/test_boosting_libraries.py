"""Boosting libraries outside of the lock, up to a served request: a class of their kind, and themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from include.declarations import Threshold, Training
from include.declarations.relations.requirements import check_requirements
from include.modeling.registry import load_version
from include.modeling.training.estimator import n_iterations
from include.serving.model_server.app import ModelServer
from include.settings import settings
from include.use_cases.flight_delay import CATEGORIES, USE_CASE
from tests.include.modeling.pipeline.conftest import own, run_pipeline
from tests.include.serving.conftest import post_invocation

STOP_ROUNDS = 3
ROUNDS = 40
GATES = (Threshold(metric="roc_auc", minimum=0.55),)


def stand_in(**parameters: Any) -> Any:
    """Return a booster of one's own with the interface of XGBoost's: rounds on the mean of each hour."""

    # Defined in the function, so that cloudpickle stores the class in the file.
    class StandInBooster(ClassifierMixin, BaseEstimator):
        def __init__(self, n_estimators=ROUNDS, early_stopping_rounds=None, random_state=None):
            self.n_estimators = n_estimators
            self.early_stopping_rounds = early_stopping_rounds
            self.random_state = random_state

        def fit(self, rows, target, eval_set=None):
            self.classes_ = np.array([0, 1])
            hours = np.asarray(rows)[:, -1]
            self.slope_ = float(np.corrcoef(np.nan_to_num(hours), target)[0, 1])
            # The stop would otherwise be after the last round.
            if self.early_stopping_rounds is not None and eval_set is not None:
                ((validation_rows, validation_target),) = eval_set
                assert len(validation_rows) == len(validation_target) > 0
                self.best_iteration = self.early_stopping_rounds
            return self

        def predict_proba(self, rows):
            hours = np.nan_to_num(np.asarray(rows, dtype=float)[:, -1])
            late = 1 / (1 + np.exp(-self.slope_ * hours))
            return np.column_stack([1 - late, late])

    return StandInBooster(**parameters)


def xgboost() -> Any:
    library = pytest.importorskip("xgboost", reason="not in the lock: uv pip install xgboost-cpu")
    return library.XGBClassifier(n_estimators=ROUNDS, max_depth=3, n_jobs=1)


def catboost() -> Any:
    library = pytest.importorskip("catboost", reason="not in the lock: uv pip install catboost")
    return library.CatBoostClassifier(
        iterations=ROUNDS, depth=3, verbose=False, allow_writing_files=False, thread_count=1
    )


def catboost_of_categories() -> Any:
    return catboost().set_params(cat_features=list(CATEGORIES))


LIBRARIES = {
    stand_in: ((), STOP_ROUNDS),
    xgboost: (("xgboost-cpu>=2",), STOP_ROUNDS),
    catboost: (("catboost>=1.2",), STOP_ROUNDS),
    catboost_of_categories: (("catboost>=1.2",), None),
}


@pytest.fixture
def database_settings(database, monkeypatch):
    """Let a model server of this process use the database."""
    monkeypatch.setenv("AIRWORTHY_DATABASE_URL", database.url.render_as_string(hide_password=False))
    settings.cache_clear()


@pytest.mark.usefixtures("database_settings")
@pytest.mark.parametrize("library", LIBRARIES)
def test_booster_is_trained_gated_packaged_and_served(
    library, new_workspace, flights, new_run, registry, keys, tmp_path
):
    estimator = library()
    if library is not catboost_of_categories:
        encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
        columns = make_column_transformer((encoder, list(CATEGORIES)), ("passthrough", ["hour"]))
        estimator = make_pipeline(columns, estimator)
    requirements, early_stopping = LIBRARIES[library]
    training = Training(early_stopping=early_stopping)
    case = own(USE_CASE, gates=GATES, requirements=requirements, training=training)
    check_requirements(case)
    frame = flights()
    _, _, verdicts, version = run_pipeline(
        lambda: replace(new_workspace(), use_case=case), frame, new_run(), estimator=estimator
    )
    assert {verdict.outcome for verdict in verdicts if verdict.severity == "block"} == {"pass"}
    assert (n_iterations(estimator) or ROUNDS) <= ROUNDS
    loaded = load_version.load_version(
        registry, "flight_delay", version, folder=tmp_path / "loaded", trusted=keys / "trusted"
    )
    required = {text.partition(">")[0] for text in case.requirements}
    packaged = (tmp_path / "loaded" / "requirements.txt").read_text()
    assert required <= {line.partition("==")[0] for line in packaged.splitlines()}
    rows = frame.tail(2)[list(case.features)]
    server = ModelServer("flight_delay", version, loaded.model)
    records = rows.astype(object).where(rows.notna(), None).to_dict("records")
    response = post_invocation(server, json={"dataframe_records": records})
    assert response.status_code == 200, response.text
    assert response.json()["predictions"] == pytest.approx(estimator.predict_proba(rows)[:, 1])
