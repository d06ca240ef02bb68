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


class RecordingEstimator:
    """An estimator that records its training rows; `output` computes predictions from the number of rows."""

    def __init__(self, output=None):
        self.output = output

    def fit(self, rows, target):
        self.rows = rows
        self.target = target
        return self

    def predict_proba(self, rows):
        return np.full((len(rows), 2), 0.5) if self.output is None else self.output(len(rows))

    predict = predict_proba


def splits(train, rest=None):
    return Splits(train=train, validation=rest, test=rest)


def with_training(use_case, **training):
    return use_case.model_copy(update={"training": Training(**training)})


def test_a_fit_uses_training_rows_and_declared_features_only(flights):
    train = flights(days=3)
    rest = flights("2013-02-01", days=3)
    trained = fit_candidate(USE_CASE, RecordingEstimator(), splits(train, rest))
    assert list(trained.estimator.rows.columns) == list(USE_CASE.features)
    assert trained.estimator.rows.index.equals(train.index)
    assert trained.rows == len(train)
    assert trained.seconds >= 0
    assert trained.notes == ()


def test_log_says_what_was_trained_and_how_long(flights, caplog):
    caplog.set_level("INFO")
    train = flights(days=3)
    fit_candidate(USE_CASE, RecordingEstimator(), splits(train, flights("2013-02-01", days=3)))
    started, ended = caplog.messages
    n_features = len(USE_CASE.features)
    assert started == f"flight_delay: training on {len(train):,} rows, {n_features} features"
    assert ended.startswith(f"flight_delay: fitted on {len(train):,} rows in ")


def test_rows_without_a_target_are_refused(flights):
    train = flights(days=3).assign(
        _airworthy_target=lambda rows: rows["_airworthy_target"].astype(float).where(rows.index > 4)
    )
    with pytest.raises(DataError, match="5 of 120 training rows have no target"):
        fit_candidate(USE_CASE, RecordingEstimator(), splits(train))


@pytest.mark.parametrize("value", [0, 1])
def test_training_rows_of_one_class_are_refused(flights, value):
    with pytest.raises(DataError, match=r"none of 120 training rows is (above|at most) 15"):
        fit_candidate(USE_CASE, RecordingEstimator(), splits(flights(days=3).assign(_airworthy_target=value)))


def test_missing_features_are_named_in_the_error(flights):
    with pytest.raises(DataError, match="temperature, visibility"):
        feature_columns(USE_CASE, flights(days=1).drop(columns=["temperature", "visibility"]))


def test_the_same_rows_give_the_same_model(flights):
    from include.use_cases.flight_delay import build_model

    train = flights()
    first = fit_candidate(USE_CASE, build_model(), splits(train)).estimator
    second = fit_candidate(USE_CASE, build_model(), splits(train)).estimator
    rows = feature_columns(USE_CASE, flights(seed=9))
    np.testing.assert_array_equal(first.predict_proba(rows), second.predict_proba(rows))


@pytest.mark.parametrize("constant", [3.0, np.nan])
def test_a_constant_feature_is_noted(flights, constant):
    train = flights(days=3).assign(rain=constant, visibility=constant)
    assert fit_candidate(USE_CASE, RecordingEstimator(), splits(train)).notes == (
        "rain, visibility never changes in the 120 training rows",
    )


def test_more_features_than_rows_are_noted(flights):
    trained = fit_candidate(USE_CASE, RecordingEstimator(), splits(flights(days=4, a_day=2)))
    assert trained.notes == ("there are more features (13) than training rows (8)",)


def test_an_error_in_fit_is_a_training_failure(flights):
    class Broken(RecordingEstimator):
        def fit(self, rows, target):
            raise ZeroDivisionError("no way")

    with pytest.raises(TrainingFailed, match="the fit of Broken on 40 rows failed: ZeroDivisionError"):
        fit_candidate(USE_CASE, Broken(), splits(flights(days=1)))


def raising_estimators(error):
    """Return an estimator that raises `error` in `fit`, and one that raises it in `predict_proba`."""

    class RaisingInFit(RecordingEstimator):
        def fit(self, rows, target):
            raise error

    def raise_error(n_rows):
        raise error

    return RaisingInFit(), RecordingEstimator(raise_error)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 9 GiB"),
        OSError(errno.ENOSPC, "No space left on device"),
        ConnectionRefusedError("Connection refused"),
        BrokenProcessPool("a worker was killed"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_transient_error_is_retried_and_no_training_failure(flights, error):
    raises_in_fit, raises_in_predict = raising_estimators(error)
    with pytest.raises(
        ServiceUnavailable,
        match=r"the fit of RaisingInFit on 40 rows was cut short: .* nothing about the model",
    ):
        fit_candidate(USE_CASE, raises_in_fit, splits(flights(days=1)))
    with pytest.raises(ServiceUnavailable, match=r"predict_proba\(\) on training rows was cut short"):
        fit_candidate(USE_CASE, raises_in_predict, splits(flights(days=1)))


def test_a_missing_file_is_a_training_failure(flights):
    raises_in_fit, raises_in_predict = raising_estimators(FileNotFoundError("/weights.bin"))
    with pytest.raises(TrainingFailed, match="the fit of RaisingInFit on 40 rows failed: FileNotFoundError"):
        fit_candidate(USE_CASE, raises_in_fit, splits(flights(days=1)))
    with pytest.raises(TrainingFailed, match=r"predict_proba\(\) on training rows failed: FileNotFoundError"):
        fit_candidate(USE_CASE, raises_in_predict, splits(flights(days=1)))


def test_an_interrupted_training_ends(flights):
    for estimator in raising_estimators(KeyboardInterrupt()):
        with pytest.raises(KeyboardInterrupt):
            fit_candidate(USE_CASE, estimator, splits(flights(days=1)))


def logistic(**changes):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    numbers = FunctionTransformer(lambda rows: rows[["hour", "distance"]])
    return make_pipeline(numbers, StandardScaler(), LogisticRegression(**changes))


def test_missing_convergence_is_noted(flights):
    (note,) = fit_candidate(USE_CASE, logistic(max_iter=1), splits(flights(days=3))).notes
    assert note.startswith("it did not converge: lbfgs failed to converge after 1 iteration")


def test_missing_convergence_fails_where_it_is_required(flights):
    strict = with_training(USE_CASE, convergence="require")
    with pytest.raises(TrainingFailed, match="flight_delay requires convergence: it did not converge: lbfgs"):
        fit_candidate(strict, logistic(max_iter=1), splits(flights(days=3)))
    assert fit_candidate(strict, logistic(), splits(flights(days=3))).notes == ()


def constant_predictions(value, shape):
    return RecordingEstimator(lambda rows: np.full(shape(rows), value))


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (
            constant_predictions(np.nan, lambda n: (n, 2)),
            "80 of 80 predictions of the estimator are not finite numbers",
        ),
        (
            constant_predictions(0.5, lambda n: (n,)),
            r"predicts 40 rows in the shape \(40,\), expected is \(40, 2\)",
        ),
        (constant_predictions(0.5, lambda n: (n, 3)), r"in the shape \(40, 3\), expected is \(40, 2\)"),
        (
            constant_predictions(1.5, lambda n: (n, 2)),
            "returns 1.5 to 1.5, and rows that add up to 3 to 3: these are no",
        ),
    ],
)
def test_predictions_that_are_no_probabilities_are_refused(flights, estimator, message):
    with pytest.raises(TrainingFailed, match=message):
        fit_candidate(USE_CASE, estimator, splits(flights(days=1)))


def test_a_regression_must_predict_one_number_per_row(flights):
    train = splits(flights(days=1, task="regression"))
    assert fit_candidate(AIR_TIME, constant_predictions(5000.0, lambda n: (n,)), train).rows == 40
    with pytest.raises(TrainingFailed, match=r"in the shape \(40, 1\), expected is \(40,\)"):
        fit_candidate(AIR_TIME, constant_predictions(1.0, lambda n: (n, 1)), train)


def one_hot(handle_unknown):
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    encoder = OneHotEncoder(handle_unknown=handle_unknown)
    return make_pipeline(make_column_transformer((encoder, ["carrier"])), LogisticRegression())


def test_an_unknown_category_is_predicted_after_the_fit(flights):
    train = splits(flights(days=3))
    assert fit_candidate(USE_CASE, one_hot("ignore"), train).notes == ()
    with pytest.raises(TrainingFailed, match=r"predict_proba\(\) on an unknown value of carrier failed"):
        fit_candidate(USE_CASE, one_hot("error"), train)
