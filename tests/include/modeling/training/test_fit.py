from __future__ import annotations

import errno
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest

from include.data.snapshots.splits import Splits
from include.declarations import Training
from include.errors import DataError, ServiceUnavailable, TrainingFailed
from include.modeling.training.fit import feature_columns, fit_candidate
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.flight_delay import USE_CASE


class Recorder:
    """An estimator that remembers what it was fitted on, and answers what it is told to."""

    def __init__(self, answers=None):
        self.answers = answers

    def fit(self, rows, target):
        self.rows, self.target = rows, target
        return self

    def predict_proba(self, rows):
        return np.full((len(rows), 2), 0.5) if self.answers is None else self.answers(len(rows))

    predict = predict_proba


def splits(train, rest=None):
    return Splits(train=train, validation=rest, test=rest)


def of(use_case, **training):
    return use_case.model_copy(update={"training": Training(**training)})


def test_a_model_sees_the_training_rows_and_the_declared_features_only(flights):
    train, rest = flights(days=3), flights("2013-02-01", days=3)
    trained = fit_candidate(USE_CASE, Recorder(), splits(train, rest))
    assert list(trained.estimator.rows.columns) == list(USE_CASE.features)
    assert trained.estimator.rows.index.equals(train.index)
    assert (trained.rows, trained.seconds >= 0, trained.notes) == (len(train), True, ())


def test_rows_without_a_target_are_refused(flights):
    train = flights(days=3).assign(target=lambda rows: rows["target"].astype(float).where(rows.index > 4))
    with pytest.raises(DataError, match="5 of 120 training rows have no target"):
        fit_candidate(USE_CASE, Recorder(), splits(train))


@pytest.mark.parametrize("value", [0, 1])
def test_one_class_teaches_nothing(flights, value):
    with pytest.raises(DataError, match=r"label\.above"):
        fit_candidate(USE_CASE, Recorder(), splits(flights(days=3).assign(target=value)))


def test_missing_features_are_named(flights):
    with pytest.raises(DataError, match="temp, visib"):
        feature_columns(USE_CASE, flights(days=1).drop(columns=["temp", "visib"]))


def test_the_same_rows_give_the_same_model(flights):
    from include.use_cases.flight_delay import build_model

    train = flights()
    one, two = (fit_candidate(USE_CASE, build_model(), splits(train)).estimator for _ in range(2))
    rows = feature_columns(USE_CASE, flights(seed=9))
    np.testing.assert_array_equal(one.predict_proba(rows), two.predict_proba(rows))


@pytest.mark.parametrize("constant", [3.0, np.nan])
def test_a_constant_feature_is_noted(flights, constant):
    train = flights(days=3).assign(precip=constant, visib=constant)
    assert fit_candidate(USE_CASE, Recorder(), splits(train)).notes == (
        "precip, visib never changes in the 120 training rows",
    )


def test_more_features_than_rows_are_noted(flights):
    trained = fit_candidate(USE_CASE, Recorder(), splits(flights(days=4, a_day=2)))
    assert trained.notes == ("there are more features (13) than training rows (8)",)


def test_an_estimator_that_raises_is_a_decision_that_names_it(flights):
    class Broken(Recorder):
        def fit(self, rows, target):
            raise ZeroDivisionError("no way")

    with pytest.raises(TrainingFailed, match=r"Broken could not be fitted on 40 rows: ZeroDivisionError"):
        fit_candidate(USE_CASE, Broken(), splits(flights(days=1)))


def raising(error):
    """Return an estimator whose fit and whose answers end so."""

    class Ended(Recorder):
        def fit(self, rows, target):
            raise error

    def answers(_):
        raise error

    return Ended(), Recorder(answers)


@pytest.mark.parametrize(
    "accident",
    [
        MemoryError("Unable to allocate 9 GiB"),
        OSError(errno.ENOSPC, "No space left on device"),
        ConnectionRefusedError("Connection refused"),
        BrokenProcessPool("a worker was killed"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_ran_out_or_went_away_is_tried_again_and_says_nothing_of_the_model(flights, accident):
    fitting, answering = raising(accident)
    for estimator, what in (fitting, "the fit on 40 rows"), (answering, r"predict_proba\(\) on its own rows"):
        with pytest.raises(ServiceUnavailable, match=f"{what} was cut short: .* says nothing of the model"):
            fit_candidate(USE_CASE, estimator, splits(flights(days=1)))


def test_a_path_that_is_not_there_is_the_estimators_fault(flights):
    fitting, answering = raising(FileNotFoundError("/weights.bin"))
    with pytest.raises(TrainingFailed, match="Ended could not be fitted on 40 rows: FileNotFoundError"):
        fit_candidate(USE_CASE, fitting, splits(flights(days=1)))
    with pytest.raises(TrainingFailed, match=r"predict_proba\(\) fails on its own rows: FileNotFoundError"):
        fit_candidate(USE_CASE, answering, splits(flights(days=1)))


def test_who_interrupts_a_training_is_obeyed(flights):
    for estimator in raising(KeyboardInterrupt()):
        with pytest.raises(KeyboardInterrupt):
            fit_candidate(USE_CASE, estimator, splits(flights(days=1)))


def logistic(**changes):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    numbers = FunctionTransformer(lambda rows: rows[["hour", "distance"]])
    return make_pipeline(numbers, StandardScaler(), LogisticRegression(**changes))


def test_what_does_not_converge_is_noted(flights):
    (note,) = fit_candidate(USE_CASE, logistic(max_iter=1), splits(flights(days=3))).notes
    assert note.startswith("it did not converge: lbfgs failed to converge after 1 iteration")


def test_what_does_not_converge_is_refused_where_that_is_declared(flights):
    strict = of(USE_CASE, convergence="require")
    with pytest.raises(TrainingFailed, match="flight_delay requires convergence: it did not converge: lbfgs"):
        fit_candidate(strict, logistic(max_iter=1), splits(flights(days=3)))
    assert fit_candidate(strict, logistic(), splits(flights(days=3))).notes == ()


def answering(value, shape):
    return Recorder(lambda rows: np.full(shape(rows), value))


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (answering(np.nan, lambda n: (n, 2)), "80 of 80 answers of the estimator are not finite numbers"),
        (answering(0.5, lambda n: (n,)), r"answers 40 rows in the shape \(40,\), expected is \(40, 2\)"),
        (answering(0.5, lambda n: (n, 3)), r"in the shape \(40, 3\), expected is \(40, 2\)"),
        (answering(1.5, lambda n: (n, 2)), "gives 1.5 to 1.5, and rows that add up to 3 to 3: these are no"),
    ],
)
def test_answers_that_are_no_probabilities_are_refused(flights, estimator, message):
    with pytest.raises(TrainingFailed, match=message):
        fit_candidate(USE_CASE, estimator, splits(flights(days=1)))


def test_a_regression_answers_one_number_a_row(flights):
    train = splits(flights(days=1, task="regression"))
    assert fit_candidate(AIR_TIME, answering(5000.0, lambda n: (n,)), train).rows == 40
    with pytest.raises(TrainingFailed, match=r"in the shape \(40, 1\), expected is \(40,\)"):
        fit_candidate(AIR_TIME, answering(1.0, lambda n: (n, 1)), train)


def one_hot(handle_unknown):
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    encoder = OneHotEncoder(handle_unknown=handle_unknown)
    return make_pipeline(make_column_transformer((encoder, ["carrier"])), LogisticRegression())


def test_a_category_that_only_callers_will_send_is_tried_in_training(flights):
    train = splits(flights(days=3))
    assert fit_candidate(USE_CASE, one_hot("ignore"), train).notes == ()
    with pytest.raises(TrainingFailed, match=r"predict_proba\(\) fails on a carrier that it has never seen"):
        fit_candidate(USE_CASE, one_hot("error"), train)
