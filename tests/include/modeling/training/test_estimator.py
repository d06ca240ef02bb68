from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from include.declarations import Training
from include.errors import DeclarationError
from include.modeling.training.estimator import fit_estimator, n_iterations, seed, seeds
from include.use_cases.flight_delay import USE_CASE

NUMBERS = ["hour", "distance", "wind"]


def with_training(**training):
    return USE_CASE.model_copy(update={"training": Training(**training)})


def piped(estimator):
    return make_pipeline(
        FunctionTransformer(lambda rows: rows[NUMBERS].fillna(0)), StandardScaler(), estimator
    )


def lightgbm(**changes):
    from lightgbm import LGBMClassifier

    return LGBMClassifier(verbose=-1, num_threads=1, learning_rate=0.5, **changes)


def test_weights_reach_the_last_step_of_a_pipeline(flights):
    train = flights(days=20)

    def mean_probability(use_case):
        fitted = fit_estimator(use_case, piped(LogisticRegression()), train, train)
        return fitted.estimator.predict_proba(train)[:, 1].mean()

    assert mean_probability(with_training(class_weights=(1, 100))) > 0.9 > mean_probability(with_training())


def test_weights_reach_an_estimator_without_a_pipeline(flights):
    train = flights(days=20).assign(**dict.fromkeys(USE_CASE.features, 0.0))
    model = fit_estimator(
        with_training(class_weights="balanced"), HistGradientBoostingClassifier(), train, train
    ).estimator
    assert model.predict_proba(train[list(USE_CASE.features)])[0, 1] == pytest.approx(0.5, abs=0.01)


def test_an_estimator_without_sample_weight_is_refused(flights):
    with pytest.raises(DeclarationError, match="KNeighborsClassifier takes no sample_weight"):
        fit_estimator(
            with_training(half_life_days=7), piped(KNeighborsClassifier()), flights(days=2), flights(days=1)
        )


@pytest.mark.parametrize(
    "boosting", [lambda: HistGradientBoostingClassifier(max_iter=300), lambda: lightgbm(n_estimators=300)]
)
def test_boosting_stops_when_validation_stops_improving(flights, boosting):
    train = flights(days=10)
    validation = flights("2013-02-01", days=5, seed=1)
    stopped = fit_estimator(with_training(early_stopping=3), piped(boosting()), train, validation)
    assert stopped.iterations < 100
    assert fit_estimator(with_training(), piped(boosting()), train, validation).iterations == 300
    held_out = flights("2013-03-01", days=5, seed=2)
    assert np.isfinite(stopped.estimator.predict_proba(held_out[list(USE_CASE.features)])).all()


def test_early_stopping_uses_the_validation_rows(flights):
    train = flights(days=10)
    validation = flights("2013-02-01", days=5, seed=1)
    inverted = validation.assign(_airworthy_target=1 - validation["_airworthy_target"])
    rounds = [
        fit_estimator(
            with_training(early_stopping=5), piped(HistGradientBoostingClassifier(max_iter=300)), train, rows
        ).iterations
        for rows in (validation, inverted)
    ]
    assert rounds[1] < rounds[0]


class Booster(BaseEstimator):
    """An estimator with the `eval_set` of XGBoost, and its patience among the parameters."""

    def __init__(self, early_stopping_rounds=None):
        self.early_stopping_rounds = early_stopping_rounds

    def fit(self, rows, target, eval_set=None):
        ((_, validation_target),) = eval_set
        self.fitted_with_ = (self.early_stopping_rounds, len(validation_target))
        self.best_iteration = 4
        return self


class BoosterByFit(BaseEstimator):
    """An estimator with the `eval_set` of CatBoost, and its patience an argument of the fit."""

    def fit(self, rows, target, eval_set=None, early_stopping_rounds=None):
        ((_, validation_target),) = eval_set
        self.fitted_with_ = (early_stopping_rounds, len(validation_target))
        self.tree_count_ = 5
        return self


class Impatient(BaseEstimator):
    """An estimator with an `eval_set` that it cannot stop by."""

    def fit(self, rows, target, eval_set=None):
        return self


@pytest.mark.parametrize("booster", [Booster, BoosterByFit])
def test_booster_with_an_eval_set_gets_its_patience(flights, booster):
    validation = flights(days=2)
    fitted = fit_estimator(with_training(early_stopping=7), booster(), flights(days=5), validation)
    assert fitted.estimator.fitted_with_ == (7, len(validation))
    assert fitted.iterations == 5


def test_booster_without_patience_is_refused(flights):
    with pytest.raises(DeclarationError, match="Impatient cannot stop on validation days"):
        fit_estimator(with_training(early_stopping=7), Impatient(), flights(days=2), flights(days=1))


def test_weights_and_early_stopping_can_be_combined(flights):
    train = flights(days=10)
    validation = flights("2013-02-01", days=5, seed=1)
    fitted = fit_estimator(
        with_training(early_stopping=3, half_life_days=5), piped(lightgbm()), train, validation
    )
    assert fitted.iterations < 100


def test_an_estimator_without_early_stopping_is_refused(flights):
    with pytest.raises(DeclarationError, match="LogisticRegression cannot stop on validation days"):
        fit_estimator(
            with_training(early_stopping=3), piped(LogisticRegression()), flights(days=2), flights(days=1)
        )


def test_seed_sets_an_unset_random_state_only():
    model = piped(RandomForestClassifier())
    seed(model, 7)
    assert model[-1].random_state == 7
    seed(model, 8)
    assert model[-1].random_state == 7


def test_seeds_lists_the_declared_seed_and_random_states():
    model = piped(RandomForestClassifier(random_state=5))
    assert seeds(with_training(seed=3), model) == {
        "training.seed": 3,
        "randomforestclassifier__random_state": 5,
    }
    assert seeds(with_training(), piped(KNeighborsClassifier())) == {"training.seed": 0}


def test_a_forest_without_a_seed_is_fitted_reproducibly(flights):
    train = flights(days=5)
    rows = train[list(USE_CASE.features)]

    def fit_and_predict():
        forest = piped(RandomForestClassifier(n_estimators=5))
        return fit_estimator(with_training(), forest, train, train).estimator.predict_proba(rows)

    np.testing.assert_array_equal(fit_and_predict(), fit_and_predict())


def test_an_estimator_without_rounds_has_no_iterations(flights):
    assert n_iterations(LogisticRegression().fit([[0.0], [1.0]], [0, 1])) is None
