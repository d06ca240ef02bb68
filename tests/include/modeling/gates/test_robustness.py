from __future__ import annotations

import numpy as np
import pytest

from include.declarations import Robustness
from tests.include.modeling.gates.conftest import minutes, sound


def jumpy(frame):
    """Decide by the last digit of the wind, as an overfitted tree might."""
    return np.where(np.floor(frame["wind_speed"].fillna(0) * 10) % 2 == 0, 0.9, 0.1)


def test_noise_within_the_measurement_error_that_flips_decisions_names_the_feature_and_the_rows(verdict_of):
    gate = Robustness(noise={"wind_speed": 0.5, "temp": 0.5}, maximum_flips=0.1)
    found = verdict_of(gate, jumpy)
    assert found.outcome == "fail"
    assert "noise of 0.5 in wind_speed flips " in found.reason
    assert "temp" not in found.reason
    assert "(on 1140 rows)" in found.reason


def test_a_sound_model_stands_noise_missing_values_unseen_categories_and_extremes(verdict_of):
    gate = Robustness(
        noise={"wind_speed": 0.5, "hour": 1}, missing=("wind_speed", "temp"), unseen=("carrier", "dest"),
        extremes=("distance", "pressure"), maximum_flips=0.3, maximum_loss=5,
    )  # fmt: skip
    found = verdict_of(gate)
    assert found.outcome == "pass", found.reason
    assert found.figures["asked"] == 10


def test_as_many_flips_as_allowed_pass(verdict_of):
    noise = {"wind_speed": 0.5}
    flips = verdict_of(Robustness(noise=noise, maximum_flips=1), jumpy).figures["largest_flips"]
    assert verdict_of(Robustness(noise=noise, maximum_flips=flips), jumpy).outcome == "pass"
    assert verdict_of(Robustness(noise=noise, maximum_flips=flips * 0.99), jumpy).outcome == "fail"


def test_a_missing_value_that_costs_too_much_is_named(verdict_of):
    def lost(frame):
        return np.where(frame["temp"].isna(), 1 - sound(frame), sound(frame))

    gate = Robustness(missing=("temp", "pressure"), maximum_loss=0.1)
    found = verdict_of(gate, lost)
    assert (found.outcome, "pressure" in found.reason) == ("fail", False)
    assert "a missing temp costs " in found.reason


def test_as_large_a_loss_as_allowed_passes(verdict_of):
    gate = Robustness(missing=("wind_speed",), maximum_loss=9)
    loss = verdict_of(gate).figures["largest_loss"]
    assert loss > 0
    for limit, outcome in ((loss, "pass"), (loss * 0.99, "fail")):
        assert verdict_of(Robustness(missing=("wind_speed",), maximum_loss=limit)).outcome == outcome


def test_a_model_that_stops_at_an_unseen_category_is_found_and_the_others_are_asked(verdict_of):
    def strict(frame):
        if not set(frame["dest"]) <= {"BOS", "LAX", "ORD", "SFO"}:
            raise ValueError("Found unknown categories in column dest")
        return sound(frame)

    found = verdict_of(Robustness(unseen=("dest", "carrier")), strict)
    assert found.outcome == "fail"
    assert "an unseen dest: " in found.reason
    assert "Found unknown categories" in found.reason
    assert "carrier" not in found.reason
    assert found.figures["asked"] == 2


@pytest.mark.parametrize("how", [{"noise": {"carrier": 1}}, {"extremes": ("carrier",)}])
def test_a_text_can_have_neither_noise_nor_extremes_and_the_gate_says_which(verdict_of, how):
    found = verdict_of(Robustness(**how))
    assert (found.outcome, "carrier is no number" in found.reason) == ("fail", True)


def test_an_extreme_that_makes_answers_leave_the_declared_range_is_found(verdict_of):
    gate = Robustness(extremes=("distance",))
    found = verdict_of(gate, minutes, task="regression")
    assert (found.outcome, "an extreme distance makes " in found.reason) == ("fail", True)


@pytest.mark.parametrize(("tolerance", "outcome"), [(0.5, "fail"), (1.0, "pass")])
def test_noise_may_move_a_regression_by_its_tolerance(verdict_of, tolerance, outcome):
    gate = Robustness(noise={"wind_speed": 0.9}, tolerance=tolerance)
    assert verdict_of(gate, minutes, task="regression").outcome == outcome


@pytest.mark.parametrize(("rows", "asked"), [(100, 100), (100_000, 1_140)])
def test_a_bounded_number_of_rows_is_asked_always_the_same_and_the_report_says_how_many(
    verdict_of, rows, asked
):
    gate = Robustness(noise={"wind_speed": 0.5}, rows=rows, maximum_flips=1)
    first, second = verdict_of(gate, jumpy), verdict_of(gate, jumpy)
    assert first == second
    assert (first.figures["rows"], f"(on {asked} rows)" in first.reason) == (asked, True)
