from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier, SGDRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor

from include.errors import DeclarationError
from include.modeling.training.early_stopping import (
    StoppingRows,
    fit_until_stopped,
    limit_rounds,
    rounds_of,
    shorten,
)


def stopping_rows(*, is_number=False, inverted=False, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(600, 3))
    score = rows[:, 0] - rows[:, 1] + rng.normal(size=600)
    target = score if is_number else (score > 0).astype(float)
    validation = target[400:]
    if inverted:
        validation = 1 - validation
    return StoppingRows(rows[:400], pd.Series(target[:400]), rows[400:], pd.Series(validation))


@pytest.mark.parametrize(
    ("learner", "is_number"),
    [
        (SGDClassifier(loss="log_loss", max_iter=500, random_state=0), False),
        (MLPClassifier(learning_rate_init=0.05, max_iter=500, random_state=0), False),
        (SGDRegressor(max_iter=500, random_state=0), True),
        (MLPRegressor(learning_rate_init=0.05, max_iter=500, random_state=0), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_epochs_end_when_validation_stops_improving(learner, is_number):
    rows = stopping_rows(is_number=is_number)
    fit_until_stopped(learner, rows, patience=5)
    assert 1 <= rounds_of(learner) < 200
    # A random part of the training rows is not held out.
    assert learner.early_stopping is False
    assert len(learner.predict(rows.validation_rows)) == 200


def test_state_of_the_best_epoch_is_kept():
    rows = stopping_rows(inverted=True)
    learner = MLPClassifier(learning_rate_init=0.05, max_iter=500, random_state=0)
    fit_until_stopped(learner, rows, patience=3)
    one_epoch = MLPClassifier(learning_rate_init=0.05, random_state=0)
    for _ in range(rounds_of(learner)):
        one_epoch.partial_fit(rows.rows, rows.target, classes=[0.0, 1.0])
    expected = one_epoch.predict_proba(rows.validation_rows)
    np.testing.assert_array_equal(learner.predict_proba(rows.validation_rows), expected)


def test_weights_count_in_each_epoch():
    rows = stopping_rows()
    weights = np.where(rows.target == 1, 50.0, 1.0)
    weighted = StoppingRows(rows.rows, rows.target, rows.validation_rows, rows.validation_target, weights)
    means = []
    for arguments in (rows, weighted):
        learner = SGDClassifier(loss="log_loss", max_iter=50, random_state=0)
        fit_until_stopped(learner, arguments, patience=5)
        means.append(learner.predict_proba(rows.validation_rows)[:, 1].mean())
    assert means[1] > means[0] + 0.1


class BoostingByParameter(ClassifierMixin, BaseEstimator):
    """An estimator with the interface of XGBoost, which records how it is fitted."""

    def __init__(self, n_estimators=100, early_stopping_rounds=None):
        self.n_estimators = n_estimators
        self.early_stopping_rounds = early_stopping_rounds

    def fit(self, rows, target, *, sample_weight=None, eval_set=None, verbose=True):
        self.fitted_with = (self.early_stopping_rounds, eval_set, verbose)
        self.best_iteration = 6
        return self


class BoostingByArgument(ClassifierMixin, BaseEstimator):
    """An estimator with the interface of CatBoost, which records how it is fitted."""

    def fit(self, rows, target, *, sample_weight=None, eval_set=None, early_stopping_rounds=None):
        self.fitted_with = (early_stopping_rounds, eval_set, False)
        self.tree_count_ = 7
        self.best_iteration_ = 6
        return self


class Impatient(ClassifierMixin, BaseEstimator):
    """An estimator with an `eval_set` that it cannot stop by."""

    def fit(self, rows, target, eval_set=None):
        return self


@pytest.mark.parametrize("learner", [BoostingByParameter(), BoostingByArgument()])
def test_boosting_gets_the_validation_rows(learner):
    rows = stopping_rows()
    fit_until_stopped(learner, rows, patience=4)
    patience, ((validation_rows, target),), verbose = learner.fitted_with
    assert (patience, verbose) == (4, False)
    assert validation_rows is rows.validation_rows
    assert target is rows.validation_target
    # A clone is fitted without validation rows.
    assert learner.get_params().get("early_stopping_rounds") is None
    assert rounds_of(learner) == 7


class Network(ClassifierMixin, BaseEstimator):
    """An estimator with the interface of a network of skorch."""

    def __init__(self, callbacks=None, train_split=None, max_epochs=10):
        self.callbacks = callbacks
        self.train_split = train_split
        self.max_epochs = max_epochs

    def fit(self, rows, target):
        self.fitted_with = (self.train_split, dict(self.callbacks))
        self.history = [1, 2, 3]
        return self


def test_networks_stop_on_the_validation_rows(monkeypatch):
    modules = {name: ModuleType(f"skorch.{name}") for name in ("callbacks", "dataset", "helper")}
    modules["callbacks"].EarlyStopping = lambda **arguments: arguments
    modules["dataset"].Dataset = lambda rows, target: (rows, target)
    modules["helper"].predefined_split = lambda dataset: ("predefined", dataset)
    monkeypatch.setitem(sys.modules, "skorch", ModuleType("skorch"))
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, f"skorch.{name}", module)
    rows = stopping_rows()
    learner = type("Learner", (Network,), {"__module__": "skorch.classifier"})(callbacks=[("own", 1)])
    fit_until_stopped(learner, rows, patience=4)
    (kind, (validation_rows, target)), callbacks = learner.fitted_with
    assert (kind, target.dtype) == ("predefined", np.int64)
    assert validation_rows is rows.validation_rows
    assert callbacks == {"own": 1, "airworthy_stopping": {"patience": 4, "load_best": True}}
    assert (learner.train_split, learner.callbacks) == (None, [("own", 1)])
    assert rounds_of(learner) == 3


def test_rounds_of_an_unfitted_estimator_are_limited():
    boosting = BoostingByParameter()
    assert limit_rounds(boosting, 7)
    assert boosting.n_estimators == 7
    assert not limit_rounds(GaussianNB(), 7)
    assert not limit_rounds(object(), 7)


@pytest.mark.parametrize(
    "learner", [LogisticRegression(), GaussianNB(), Impatient(), MLPClassifier(solver="lbfgs")]
)
def test_learner_without_rounds_is_refused(learner):
    with pytest.raises(DeclarationError, match=f"{type(learner).__name__} cannot stop on validation days"):
        fit_until_stopped(learner, stopping_rows(), patience=3)


@pytest.mark.parametrize(
    ("learner", "name", "rounds"),
    [
        (HistGradientBoostingRegressor(max_iter=50), "max_iter", 10),
        (RandomForestClassifier(n_estimators=3), "n_estimators", 1),
        (MLPRegressor(max_iter=200), "max_iter", 40),
    ],
)
def test_learner_takes_a_share_of_its_rounds(learner, name, rounds):
    assert shorten(learner, 0.2)
    assert learner.get_params()[name] == rounds


@pytest.mark.parametrize(
    "learner", [LogisticRegression(max_iter=500), GaussianNB(), RandomForestClassifier(n_estimators=1)]
)
def test_learner_without_a_number_of_rounds_is_left_alone(learner):
    before = learner.get_params()
    assert not shorten(learner, 0.2)
    assert learner.get_params() == before
