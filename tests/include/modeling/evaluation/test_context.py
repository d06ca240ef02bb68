from __future__ import annotations

import numpy as np
import pytest

from include.data.snapshots.splits import Splits
from include.declarations import Split
from include.errors import ModelError, ServiceUnavailable
from include.modeling.evaluation.context import build_context, sample
from include.modeling.gates import MANDATORY
from include.use_cases.flight_delay import USE_CASE
from tests.include.conftest import make_flights
from tests.include.modeling.gates.conftest import Model, packaged_model, sound, verdicts_of


def context_of(function):
    frame = make_flights(days=6)
    return build_context(
        USE_CASE, Splits(frame[:120], frame[120:160], frame[160:]), packaged_model(Model(function))
    )


def test_context_has_a_prediction_for_each_row():
    context = context_of(sound)
    assert (len(context.test.predictions), context.units.count) == (80, 2)


def test_rows_that_are_split_by_entity_are_drawn_one_by_one():
    frame = make_flights(days=6)
    undated = USE_CASE.model_copy(update={"split": Split(by="entity")})
    parts = Splits(frame[:120], frame[120:160], frame[160:])
    units = build_context(undated, parts, packaged_model(Model(sound))).units
    assert (units.count, units.unit) == (80, "groups")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda frame: np.where(frame["hour"] > 12, np.nan, 0.5),
            r"120 rows is invalid: \d+ values",
        ),
        (lambda frame: np.full((len(frame), 3), 0.3), r"the shape is \(120, 3\)"),
        (lambda frame: np.full(len(frame) - 1, 0.3), r"the shape is \(119,\)"),
    ],
    ids=["NaN", "three columns", "a row too few"],
)
def test_invalid_prediction_names_the_number_of_rows(function, message):
    with pytest.raises(ModelError, match=message):
        context_of(function)


def test_estimator_that_raises_is_quoted():
    def strict(_):
        raise ValueError("Found unknown categories ['ZZ']")

    with pytest.raises(ModelError, match=r"the prediction of 120 rows failed: ValueError: Found unknown"):
        context_of(strict)


@pytest.mark.parametrize("error", [MemoryError("9 GiB"), OSError(28, "No space left on device")])
def test_transient_error_is_no_fault_of_the_estimator(error):
    def fail(_):
        raise error

    with pytest.raises(ServiceUnavailable, match="the prediction of 120 rows was cut short"):
        context_of(fail)


@pytest.mark.parametrize("offset", [-0.5, 0.5], ids=["below 0", "above 1"])
def test_predictions_outside_0_to_1_fail_their_range(offset):
    verdicts = verdicts_of((), lambda frame: sound(frame) + offset)
    outcomes = {verdict.gate: verdict.outcome for verdict in verdicts}
    assert outcomes["prediction_range"] == "fail"
    assert outcomes.keys() >= MANDATORY.keys()


def test_sample_is_evenly_spaced_and_always_the_same():
    frame = make_flights(days=10)
    assert sample(frame, 50).equals(sample(frame, 50))
    assert sample(frame, 50)["_airworthy_day"].nunique() == 10
    assert sample(frame, 10_000) is frame
