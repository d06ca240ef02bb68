from __future__ import annotations

from datetime import date, timedelta

import cloudpickle
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from include.declarations import Integer, Training, Tuning
from include.errors import DataError, ServiceUnavailable
from include.modeling.tuning.trial import TrialJob, TrialPart, random_folds, run_trial, split_folds
from tests.include.modeling.tuning.tunable import USE_CASE, build_model

PARAMETERS = {"depth": Integer(low=1, high=9)}


def days(count, first="2013-01-01"):
    return [f"{day:%Y-%m-%d}" for day in pd.date_range(first, periods=count)]


def test_each_fold_is_trained_on_all_days_before_it():
    first, second = split_folds(Tuning(parameters=PARAMETERS, folds=2, fold_days=3), days(10), embargo_days=0)
    assert first.train[-1] == "2013-01-04"
    assert first.validation == ("2013-01-05", "2013-01-06", "2013-01-07")
    assert second.train[-1] == "2013-01-07"
    assert second.validation == ("2013-01-08", "2013-01-09", "2013-01-10")
    assert first.train[0] == second.train[0] == "2013-01-01"


def test_each_fold_is_trained_on_its_window():
    tuning = Tuning(parameters=PARAMETERS, folds=2, fold_days=3)
    first, second = split_folds(tuning, days(10), embargo_days=0, last_days=2)
    assert first.train == ("2013-01-03", "2013-01-04")
    assert second.train == ("2013-01-06", "2013-01-07")


@given(
    n_days=st.integers(2, 60), n_folds=st.integers(1, 5), length=st.integers(1, 9), embargo=st.integers(0, 3)
)
def test_the_embargo_separates_training_and_validation_days(n_days, n_folds, length, embargo):
    tuning = Tuning(parameters=PARAMETERS, folds=n_folds, fold_days=length)
    try:
        folds = split_folds(tuning, days(n_days), embargo_days=embargo)
    except DataError:
        assert n_folds * length + embargo >= n_days
        return
    assert [len(fold.validation) for fold in folds] == [length] * n_folds
    for fold in folds:
        gap = date.fromisoformat(fold.validation[0]) - date.fromisoformat(fold.train[-1])
        assert gap > timedelta(days=embargo)


def test_too_few_days_are_refused():
    with pytest.raises(DataError, match="6 days to tune on, and 2 folds of 3 days leave none"):
        split_folds(Tuning(parameters=PARAMETERS, folds=2, fold_days=3), days(6), embargo_days=0)


def test_too_few_days_for_the_embargo_are_refused():
    with pytest.raises(DataError, match="after an embargo of 1"):
        split_folds(Tuning(parameters=PARAMETERS, folds=2, fold_days=3), days(7), embargo_days=1)


def test_each_random_group_is_measured_once():
    folds = random_folds(3)
    assert [fold.validation for fold in folds] == [("0",), ("1",), ("2",)]
    assert [fold.train for fold in folds] == [("1", "2"), ("0", "2"), ("0", "1")]


@pytest.fixture
def job(flights):
    rows = flights(days=16)
    return TrialJob(
        USE_CASE, "log_loss", build_model, rows, split_folds(USE_CASE.tuning, days(16), embargo_days=1)
    )


def test_a_trial_has_one_score_per_fold(job):
    good = run_trial(job, {"strength": 1.0, "by": "hour"})
    bad = run_trial(job, {"strength": 1.0, "by": "noise"})
    assert len(good.scores) == 2
    assert good.score == pytest.approx(sum(good.scores) / 2)
    assert good.score < bad.score


def test_an_estimator_error_is_a_problem_of_the_parameters(job):
    assert "TypeError: build_model() got an unexpected" in run_trial(job, {"depth": 3}).problem
    assert "InvalidParameterError" in run_trial(job, {"strength": -1.0}).problem


def test_a_trial_without_memory_is_retried(job):
    def build_model(**_):
        raise MemoryError("Unable to allocate 9 GiB")

    failing_job = TrialJob(USE_CASE, "log_loss", build_model, job.rows, job.folds)
    with pytest.raises(ServiceUnavailable, match=r"a trial with \{'depth': 3\} was cut short: MemoryError"):
        run_trial(failing_job, {"depth": 3})


def test_a_fold_of_one_class_is_a_problem(job):
    one_class = TrialJob(USE_CASE, "roc_auc", build_model, job.rows.assign(_airworthy_target=1), job.folds)
    problem = run_trial(one_class, {}).problem
    assert "rows that the fold 2013-01-" in problem
    assert "is fitted on is at most 15. Publish more days" in problem


def test_a_class_missing_in_a_fold_is_said_in_words(job):
    last = job.rows["_airworthy_day"] >= job.folds[0].validation[0]
    rows = job.rows.assign(_airworthy_target=job.rows["_airworthy_target"].where(~last, 0))
    problem = run_trial(TrialJob(USE_CASE, "roc_auc", build_model, rows, job.folds), {}).problem
    assert "roc_auc is undefined in the fold 2013-01-" in problem
    assert "none of the 120 rows is above 15" in problem
    assert run_trial(TrialJob(USE_CASE, "log_loss", build_model, rows, job.folds), {}).problem == ""


def test_early_stopping_uses_the_validation_days_of_the_fold(job):
    from sklearn.ensemble import HistGradientBoostingClassifier

    validation_sizes = []

    class RecordingClassifier(HistGradientBoostingClassifier):
        def fit(self, rows, target, sample_weight=None, *, X_val=None, y_val=None):
            validation_sizes.append(len(X_val))
            return super().fit(rows, target, X_val=X_val, y_val=y_val)

    stopping = USE_CASE.model_copy(
        update={"training": Training(early_stopping=2), "features": ("hour", "wind_speed")}
    )
    result = run_trial(TrialJob(stopping, "log_loss", RecordingClassifier, job.rows, job.folds), {})
    assert result.problem == ""
    assert validation_sizes == [3 * 40, 3 * 40]


def test_the_same_parameters_have_the_same_scores(job):
    assert run_trial(job, {"strength": 0.3}).scores == run_trial(job, {"strength": 0.3}).scores


def test_a_job_is_pickled_with_the_code_of_its_use_case(job, monkeypatch):
    import sys

    import tests.include.modeling.tuning.tunable as tunable

    monkeypatch.setitem(sys.modules, "include.use_cases.tunable", tunable)
    content = job.to_bytes()
    monkeypatch.delattr(tunable, "build_model")
    assert (
        run_trial(cloudpickle.loads(content), {"strength": 0.3}).scores
        == run_trial(job, {"strength": 0.3}).scores
    )


def boosting(rounds=20):
    learner = HistGradientBoostingClassifier(max_iter=rounds, max_leaf_nodes=4, random_state=0)
    return make_pipeline(OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), learner)


def test_part_of_a_trial_takes_a_share_of_the_rounds(job):
    boosted = TrialJob(USE_CASE, "log_loss", boosting, job.rows, job.folds)
    short = run_trial(boosted, {}, TrialPart((0,), 0.2))
    assert short.scores == run_trial(boosted, {"rounds": 4}, TrialPart((0,))).scores
    # A linear model has no rounds.
    assert run_trial(job, {}, TrialPart((0,), 0.2)).scores == ()
