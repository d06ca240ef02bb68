from __future__ import annotations

from datetime import date, timedelta

import cloudpickle
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.declarations import Integer, Training, Tuning
from include.errors import DataError, ServiceUnavailable
from include.modeling.tuning.trial import TrialJob, folds, run_trial
from tests.include.modeling.tunable import USE_CASE, build_model

ANY = {"depth": Integer(low=1, high=9)}


def days(count, first="2013-01-01"):
    return [f"{day:%Y-%m-%d}" for day in pd.date_range(first, periods=count)]


def test_each_fold_is_fitted_on_all_days_before_it():
    one, two = folds(Tuning(parameters=ANY, folds=2, fold_days=3), days(10), embargo_days=0)
    assert one == folds(Tuning(parameters=ANY, folds=2, fold_days=3), days(10), embargo_days=0)[0]
    assert (one.train[-1], one.validation) == ("2013-01-04", ("2013-01-05", "2013-01-06", "2013-01-07"))
    assert (two.train[-1], two.validation) == ("2013-01-07", ("2013-01-08", "2013-01-09", "2013-01-10"))
    assert two.train[0] == one.train[0] == "2013-01-01"


@given(
    count=st.integers(2, 60), folded=st.integers(1, 5), length=st.integers(1, 9), embargo=st.integers(0, 3)
)
def test_no_fold_learns_from_a_day_whose_label_was_not_known(count, folded, length, embargo):
    tuning = Tuning(parameters=ANY, folds=folded, fold_days=length)
    try:
        found = folds(tuning, days(count), embargo_days=embargo)
    except DataError:
        assert folded * length + embargo >= count
        return
    assert [len(fold.validation) for fold in found] == [length] * folded
    for fold in found:
        last, first = (date.fromisoformat(day) for day in (fold.train[-1], fold.validation[0]))
        assert first - last > timedelta(days=embargo)


def test_too_few_days_are_refused():
    with pytest.raises(DataError, match="6 days to tune on, and 2 folds of 3 days leave none"):
        folds(Tuning(parameters=ANY, folds=2, fold_days=3), days(6), embargo_days=0)


def test_an_embargo_needs_days_too():
    with pytest.raises(DataError, match="after an embargo of 1"):
        folds(Tuning(parameters=ANY, folds=2, fold_days=3), days(7), embargo_days=1)


@pytest.fixture
def work(flights):
    rows = flights(days=16)
    return TrialJob(USE_CASE, "log_loss", build_model, rows, folds(USE_CASE.tuning, days(16), embargo_days=1))


def test_a_trial_is_scored_once_a_fold(work):
    good, bad = (run_trial(work, {"strength": 1.0, "by": by}) for by in ("hour", "noise"))
    assert len(good.scores) == 2
    assert good.score == pytest.approx(sum(good.scores) / 2)
    assert good.score < bad.score


def test_what_cannot_be_built_or_fitted_is_a_problem_of_its_parameters(work):
    assert "TypeError: build_model() got an unexpected" in run_trial(work, {"depth": 3}).problem
    assert "InvalidParameterError" in run_trial(work, {"strength": -1.0}).problem


def test_a_trial_that_ran_out_of_memory_decides_nothing_about_its_parameters(work):
    def build_model(**_):
        raise MemoryError("Unable to allocate 9 GiB")

    unlucky = TrialJob(USE_CASE, "log_loss", build_model, work.rows, work.folds)
    with pytest.raises(ServiceUnavailable, match=r"a trial with \{'depth': 3\} was cut short: MemoryError"):
        run_trial(unlucky, {"depth": 3})


def test_a_fold_without_both_classes_says_so(work):
    lost = TrialJob(USE_CASE, "roc_auc", build_model, work.rows.assign(target=1), work.folds)
    assert "could not be fitted" in run_trial(lost, {}).problem


def test_early_stopping_looks_at_the_fold_and_not_beyond(work):
    from sklearn.ensemble import HistGradientBoostingClassifier

    seen = []

    class Watched(HistGradientBoostingClassifier):
        def fit(self, rows, target, sample_weight=None, *, X_val=None, y_val=None):
            seen.append(len(X_val))
            return super().fit(rows, target, X_val=X_val, y_val=y_val)

    stopping = USE_CASE.model_copy(
        update={"training": Training(early_stopping=2), "features": ("hour", "wind_speed")}
    )
    found = run_trial(TrialJob(stopping, "log_loss", Watched, work.rows, work.folds), {})
    assert found.problem == ""
    assert seen == [3 * 40, 3 * 40]


def test_the_same_parameters_score_the_same(work):
    assert run_trial(work, {"strength": 0.3}).scores == run_trial(work, {"strength": 0.3}).scores


def test_work_travels_with_the_code_of_its_use_case(work, monkeypatch):
    import sys

    import tests.include.modeling.tunable as tunable

    monkeypatch.setitem(sys.modules, "include.use_cases.tunable", tunable)
    content = work.to_bytes()
    monkeypatch.delattr(tunable, "build_model")
    assert (
        run_trial(cloudpickle.loads(content), {"strength": 0.3}).scores
        == run_trial(work, {"strength": 0.3}).scores
    )
