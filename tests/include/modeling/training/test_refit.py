from __future__ import annotations

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from include.declarations import FinalRefit, Split, Training
from include.errors import DeclarationError
from include.modeling.pipeline.workspace import split_snapshot
from include.modeling.training import refit
from include.modeling.training.refit import fit_on_all, walk_forward
from include.specifications import declared_specification
from include.use_cases.flight_delay import USE_CASE

BY_TIME = Split(validation_days=3, test_days=6, embargo_days=1, minimum_rows=100)
BY_ENTITY = Split(by="entity", minimum_rows=100)
FITS = []


def specified(split=BY_TIME, **training):
    settings = {"final_refit": FinalRefit(margin=0.01)} | training
    use_case = USE_CASE.model_copy(
        update={"split": split, "training": Training(**settings), "features": ("hour", "weekday")}
    )
    return declared_specification(use_case)


class Recorder(LogisticRegression):
    """A classifier that records the rows that it is fitted on."""

    def fit(self, rows, target, sample_weight=None):
        FITS.append(rows.index)
        return super().fit(rows, target, sample_weight)


@pytest.fixture(autouse=True)
def _no_fits():
    FITS.clear()


def test_windows_of_test_days_are_predicted_from_earlier_days(flights):
    frame = flights(days=24).reset_index(drop=True)
    specification = specified()
    splits = split_snapshot(specification, frame)
    predictions = walk_forward(specification, Recorder, frame, splits, None)
    assert predictions.shape == (len(splits.test),)
    assert (predictions > 0).all()
    last_days = [frame["_airworthy_day"][rows].max() for rows in FITS]
    # Two test days each, after an embargo of one.
    assert last_days == ["2013-01-17", "2013-01-19", "2013-01-21"]
    assert {frame["_airworthy_day"][rows].min() for rows in FITS} == {"2013-01-01"}


def test_windows_have_the_length_of_the_training_window(flights):
    frame = flights(days=24).reset_index(drop=True)
    specification = specified(last_days=5)
    splits = split_snapshot(specification, frame)
    walk_forward(specification, Recorder, frame, splits, None)
    assert [frame["_airworthy_day"][rows].nunique() for rows in FITS] == [5, 5, 5]


def test_parts_of_undated_rows_are_predicted_from_all_others(flights):
    frame = flights(days=24).reset_index(drop=True)
    specification = specified(BY_ENTITY)
    splits = split_snapshot(specification, frame)
    walk_forward(specification, Recorder, frame, splits, None)
    assert len(FITS) == 3
    unused = [set(frame.index) - set(rows) for rows in FITS]
    assert set.union(*unused) == set(splits.test.index)
    assert sum(map(len, unused)) == len(splits.test)


def test_rounds_are_those_of_the_candidate(flights):
    from sklearn.ensemble import HistGradientBoostingClassifier

    frame = flights(days=10)
    boosting = HistGradientBoostingClassifier(max_iter=90)
    fitted = fit_on_all(specified(early_stopping=5), boosting, frame, 7)
    assert (fitted.estimator.n_iter_, fitted.rows) == (7, len(frame))
    free = fit_on_all(specified(), HistGradientBoostingClassifier(max_iter=9), frame, 7)
    assert free.estimator.n_iter_ == 9


@pytest.mark.parametrize("rounds", [None, 7])
def test_estimator_without_rounds_cannot_repeat_a_stop(flights, rounds):
    with pytest.raises(DeclarationError, match="GaussianNB has no number of rounds"):
        fit_on_all(specified(early_stopping=5), GaussianNB(), flights(days=2), rounds)


def test_each_test_row_is_measured_once(flights):
    frame = flights(days=24)
    specification = specified(final_refit=FinalRefit(margin=0.01, folds=6))
    splits = split_snapshot(specification, frame)
    measured = sum(part for _, part in refit._folds(specification, frame, splits))
    assert (measured == 1).all()
