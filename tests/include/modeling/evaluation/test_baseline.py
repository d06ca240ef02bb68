from __future__ import annotations

import json

import pandas as pd
import pytest

from include.inference.baseline_table import BaselineTable
from include.modeling.evaluation.baseline import MIN_SLOT_ROWS, baseline_predictions, baseline_table
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.delay_band import USE_CASE as DELAY_BAND
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY


def rows(**columns):
    return pd.DataFrame(columns)


TRAIN = rows(
    hour=[6] * 40 + [18] * 40 + [3], _airworthy_target=[0] * 30 + [1] * 10 + [1] * 20 + [0] * 20 + [1]
)


def test_slot_has_its_training_mean():
    (predictions,) = baseline_predictions(FLIGHT_DELAY, TRAIN, rows(hour=[18, 6, 18]))
    assert predictions.tolist() == [0.5, 0.25, 0.5]


@pytest.mark.parametrize("hour", [3, 23], ids=["rare", "new"])
def test_rare_slot_has_the_overall_mean(hour):
    assert (TRAIN["hour"] == hour).sum() < MIN_SLOT_ROWS
    (predictions,) = baseline_predictions(FLIGHT_DELAY, TRAIN, rows(hour=[hour]))
    assert predictions[0] == pytest.approx(31 / 81)


def test_rows_without_slots_have_the_overall_mean():
    (predictions,) = baseline_predictions(
        FLIGHT_DELAY.model_copy(update={"baseline_by": ()}), TRAIN, rows(hour=[6, 18])
    )
    assert len(set(predictions)) == 1


def test_slots_of_several_columns_have_the_median_for_mae():
    train = rows(
        origin=["JFK"] * 21 + ["EWR"] * 21,
        dest=["LAX"] * 42,
        _airworthy_target=[1.0] * 11 + [99.0] * 10 + [7.0] * 21,
    )
    test = rows(origin=["EWR", "JFK", "EWR"], dest=["LAX", "LAX", "SFO"])
    (predictions,) = baseline_predictions(AIR_TIME, train, test)
    assert predictions.tolist() == [7, 1, 7]


@pytest.mark.parametrize("hour", [6, 18, 3, 23])
def test_table_predicts_what_the_baseline_does(hour):
    table = BaselineTable.from_json(json.loads(json.dumps(baseline_table(FLIGHT_DELAY, TRAIN).as_json())))
    (expected,) = baseline_predictions(FLIGHT_DELAY, TRAIN, rows(hour=[hour]))
    assert table.look_up({"hour": hour}) == expected[0]


def test_table_of_classes_has_their_shares():
    n_classes = len(DELAY_BAND.class_names)
    use_case = DELAY_BAND.model_copy(update={"baseline_by": ("hour",)})
    train = rows(hour=[6] * 40, _airworthy_target=[0, 1] * 20)
    table = baseline_table(use_case, train)
    assert table.look_up({"hour": 6}) == table.overall == [0.5, 0.5] + [0.0] * (n_classes - 2)
