"""What an estimator may answer when it is evaluated, and what becomes of everything else."""

from __future__ import annotations

import numpy as np
import pytest

from include.data.snapshots.splits import Splits
from include.errors import DataError, ServiceUnavailable
from include.modeling.evaluation.context import build_context, sample
from include.use_cases.flight_delay import USE_CASE
from tests.include.conftest import make_flights
from tests.include.modeling.gates.conftest import Model, sound, verdicts_of


def held(function):
    frame = make_flights(days=6)
    return build_context(USE_CASE, Model(function), None, Splits(frame[:120], frame[120:160], frame[160:]))


def test_one_number_for_each_row_is_held():
    trial = held(sound)
    assert (len(trial.test.predictions), trial.days.count) == (80, 2)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda frame: np.where(frame["hour"] > 12, np.nan, 0.5), r"\d+ of them are not finite"),
        (lambda frame: np.full((len(frame), 3), 0.3), r"they have the shape \(120, 3\)"),
        (lambda frame: np.full(len(frame) - 1, 0.3), r"they have the shape \(119,\)"),
    ],
    ids=["NaN", "three columns", "a row too few"],
)
def test_what_is_no_prediction_is_said_with_the_number_of_rows(function, words):
    with pytest.raises(DataError, match=words):
        held(function)


def test_an_estimator_that_raises_is_quoted():
    def strict(_):
        raise ValueError("Found unknown categories ['ZZ']")

    with pytest.raises(DataError, match=r"cannot answer 120 rows: ValueError: Found unknown categories"):
        held(strict)


@pytest.mark.parametrize("accident", [MemoryError("9 GiB"), OSError(28, "No space left on device")])
def test_memory_or_disk_that_runs_out_while_it_answers_is_no_fault_of_the_estimator(accident):
    def unlucky(_):
        raise accident

    with pytest.raises(ServiceUnavailable, match="the prediction of 120 rows was cut short"):
        held(unlucky)


@pytest.mark.parametrize("offset", [-0.5, 0.5], ids=["below 0", "above 1"])
def test_predictions_outside_of_0_to_1_are_refused_by_their_range_and_no_other_gate_ends(offset):
    found = {v.gate: v for v in verdicts_of((), lambda frame: sound(frame) + offset)}
    assert found["prediction_range"].outcome == "fail"
    assert len(found) == 5


def test_a_sample_is_spread_over_all_rows_and_always_the_same():
    frame = make_flights(days=10)
    assert sample(frame, 50).equals(sample(frame, 50))
    assert sample(frame, 50)["day"].nunique() == 10
    assert sample(frame, 10_000) is frame
