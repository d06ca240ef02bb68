from __future__ import annotations

import pandas as pd
import pytest

from include.modeling.evaluation.baseline import EPSILON, baseline_predictions
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY


def days(**columns):
    return pd.DataFrame(columns)


TRAIN = days(hour=[6] * 40 + [18] * 40 + [3], target=[0] * 30 + [1] * 10 + [1] * 20 + [0] * 20 + [1])


def test_the_usual_of_a_slot_is_learnt_in_training():
    (found,) = baseline_predictions(FLIGHT_DELAY, TRAIN, days(hour=[18, 6, 18]))
    assert found.tolist() == [0.5, 0.25, 0.5]


@pytest.mark.parametrize("hour", [3, 23], ids=["rare", "never seen"])
def test_a_slot_that_is_hardly_known_takes_what_is_usual_over_all(hour):
    assert (TRAIN["hour"] == hour).sum() < EPSILON
    (found,) = baseline_predictions(FLIGHT_DELAY, TRAIN, days(hour=[hour]))
    assert found[0] == pytest.approx(31 / 81)


def test_without_slots_all_rows_get_the_same():
    (found,) = baseline_predictions(
        FLIGHT_DELAY.model_copy(update={"naive_by": ()}), TRAIN, days(hour=[6, 18])
    )
    assert len(set(found)) == 1


def test_slots_of_several_columns_and_the_median_where_the_absolute_error_counts():
    train = days(
        origin=["JFK"] * 21 + ["EWR"] * 21, dest=["LAX"] * 42, target=[1.0] * 11 + [99.0] * 10 + [7.0] * 21
    )
    rows = days(origin=["EWR", "JFK", "EWR"], dest=["LAX", "LAX", "SFO"])
    (found,) = baseline_predictions(AIR_TIME, train, rows)
    assert found.tolist() == [7, 1, 7]
