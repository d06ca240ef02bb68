from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from include.declarations import Split
from include.modeling.evaluation.metrics import compute_metrics, predict
from include.modeling.training.learning_curve import LearningCurve, draw_learning_curve, learning_curve
from include.use_cases.flight_delay import USE_CASE

NUMBERS = ["hour", "distance", "wind"]
FEATURES = list(USE_CASE.features)


def piped(estimator):
    return make_pipeline(FunctionTransformer(lambda rows: rows[NUMBERS].fillna(0)), estimator)


def lightgbm(**changes):
    from lightgbm import LGBMClassifier

    return LGBMClassifier(verbose=-1, num_threads=1, **changes)


@pytest.fixture
def rows(flights):
    return flights(days=20), flights("2013-03-01", days=10, seed=1)


@pytest.mark.parametrize("boosting", [HistGradientBoostingClassifier(max_iter=60), lightgbm(n_estimators=60)])
def test_a_curve_by_rounds_ends_at_the_fitted_model(rows, boosting):
    train, validation = rows
    model = piped(boosting).fit(train[FEATURES], train["_airworthy_target"])
    curve = learning_curve(USE_CASE, model, train, validation)
    assert (curve.over, curve.metric, curve.steps[0], curve.steps[-1]) == ("rounds", "log_loss", 1, 60)
    assert len(curve.steps) == 20
    metrics = compute_metrics(
        USE_CASE, predict(model, "binary", validation[FEATURES]), validation["_airworthy_target"]
    )
    assert curve.validation[-1] == pytest.approx(metrics["log_loss"])
    assert curve.gap == pytest.approx(curve.validation[-1] - curve.train[-1])


def test_the_gap_separates_an_overfitted_model_from_a_simple_one(rows):
    train, validation = rows
    gaps = [
        learning_curve(
            USE_CASE, piped(model).fit(train[FEATURES], train["_airworthy_target"]), train, validation
        ).gap
        for model in (HistGradientBoostingClassifier(max_iter=300), LogisticRegression())
    ]
    assert gaps[0] > 0.3
    assert abs(gaps[1]) < 0.05


def test_a_curve_by_rows_fits_again_on_fewer_rows(rows):
    train, validation = rows
    model = piped(LogisticRegression()).fit(train[FEATURES], train["_airworthy_target"])
    curve = learning_curve(USE_CASE, model, train, validation)
    assert (curve.over, curve.steps) == ("rows", (80, 240, 800))


def test_a_curve_of_undated_rows_fits_on_random_rows(rows, monkeypatch):
    train, validation = rows
    model = piped(LogisticRegression()).fit(train[FEATURES], train["_airworthy_target"])
    monkeypatch.setattr(pd.DataFrame, "tail", lambda *_: pytest.fail("the newest rows were taken"))
    undated = USE_CASE.model_copy(update={"split": Split(by="entity")})
    sizes = learning_curve(undated, model, train, validation).steps
    assert sizes == (80, 240, 800)


def test_a_curve_by_rows_costs_less_than_half_a_fit(rows):
    row_counts = []

    class Counting(ClassifierMixin, BaseEstimator):
        def fit(self, rows, target):
            row_counts.append(len(rows))
            self.classes_ = np.unique(target)
            return self

        def predict_proba(self, rows):
            return np.full((len(rows), 2), 0.5)

    train, validation = rows
    learning_curve(USE_CASE, Counting().fit(train, train["_airworthy_target"]), train, validation)
    assert sum(row_counts[1:]) < len(train) / 2


class Stubborn(LogisticRegression):
    """An estimator that cannot be cloned, since its constructor changes an argument."""

    def __init__(self, columns=()):
        super().__init__()
        self.columns = list(columns)


def test_estimator_that_cannot_be_cloned_has_no_curve(rows):
    train, validation = rows
    estimator = make_pipeline(
        FunctionTransformer(lambda frame: frame[["hour"]].fillna(0)), Stubborn(columns=("hour",))
    ).fit(train, train["_airworthy_target"])
    assert learning_curve(USE_CASE, estimator, train, validation) is None


def test_without_validation_rows_there_is_no_curve(rows):
    train, validation = rows
    model = piped(LogisticRegression()).fit(train[FEATURES], train["_airworthy_target"])
    assert learning_curve(USE_CASE, model, train, validation.head(0)) is None


def test_an_undefined_metric_gives_no_curve(rows):
    train, validation = rows
    model = piped(LogisticRegression()).fit(train[FEATURES], train["_airworthy_target"])
    ranked = USE_CASE.model_copy(update={"metric": "roc_auc"})
    assert learning_curve(ranked, model, train, validation.assign(_airworthy_target=1)) is None
    assert learning_curve(ranked, model, train, validation).gap < 0.2


def test_the_gap_is_positive_whichever_way_a_metric_improves():
    assert LearningCurve("roc_auc", "rows", (1,), (0.9,), (0.7,)).gap == pytest.approx(0.2)
    assert LearningCurve("log_loss", "rows", (1,), (0.2,), (0.5,)).gap == pytest.approx(0.3)


def test_a_drawn_curve_is_a_png():
    curve = LearningCurve("roc_auc", "rounds", (1, 2), (0.8, 0.9), (0.7, 0.75))
    assert draw_learning_curve(curve, "flight_delay").startswith(b"\x89PNG")
