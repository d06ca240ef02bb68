from __future__ import annotations

import numpy as np
import pytest

from include.data.splits import Splits
from include.errors import DataError
from include.modeling.training import fit, inputs
from include.use_cases.flight_delay import USE_CASE


class Recorder:
    """An estimator that remembers what it was fitted on."""

    def fit(self, rows, target):
        self.rows, self.target = rows, target
        return self


def splits(train, rest=None):
    return Splits(train=train, validation=rest, test=rest)


def test_a_model_sees_the_training_rows_and_the_declared_features_only(flights):
    train, rest = flights(days=3), flights("2013-02-01", days=3)
    trained = fit(USE_CASE, Recorder(), splits(train, rest))
    assert list(trained.estimator.rows.columns) == list(USE_CASE.features)
    assert trained.estimator.rows.index.equals(train.index)
    assert (trained.rows, trained.seconds >= 0) == (len(train), True)


def test_rows_without_a_target_are_refused(flights):
    train = flights(days=3).assign(target=lambda rows: rows["target"].astype(float).where(rows.index > 4))
    with pytest.raises(DataError, match="5 of 120 training rows have no target"):
        fit(USE_CASE, Recorder(), splits(train))


@pytest.mark.parametrize("value", [0, 1])
def test_one_class_teaches_nothing(flights, value):
    with pytest.raises(DataError, match=r"label\.above"):
        fit(USE_CASE, Recorder(), splits(flights(days=3).assign(target=value)))


def test_missing_features_are_named(flights):
    with pytest.raises(DataError, match="temp, visib"):
        inputs(USE_CASE, flights(days=1).drop(columns=["temp", "visib"]))


def test_the_same_rows_give_the_same_model(flights):
    from include.use_cases.flight_delay import build_model

    train = flights()
    one, two = (fit(USE_CASE, build_model(), splits(train)).estimator for _ in range(2))
    rows = inputs(USE_CASE, flights(seed=9))
    np.testing.assert_array_equal(one.predict_proba(rows), two.predict_proba(rows))
