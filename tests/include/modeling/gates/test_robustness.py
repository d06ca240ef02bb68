from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from include.declarations import Robustness
from include.modeling.gates.robustness import RobustnessGate
from tests.include.modeling.gates.conftest import minutes, sound


def jumpy(frame):
    """Decide by the last digit of the wind, as an overfitted tree may."""
    return np.where(np.floor(frame["wind_speed"].fillna(0) * 10) % 2 == 0, 0.9, 0.1)


def test_noise_that_flips_decisions_names_feature_and_rows(verdict_of):
    gate = Robustness(noise={"wind_speed": 0.5, "temp": 0.5}, maximum_flips=0.1)
    verdict = verdict_of(gate, jumpy)
    assert verdict.outcome == "fail"
    assert "noise of 0.5 in wind_speed flips " in verdict.reason
    assert "temp" not in verdict.reason
    assert "(on 1140 rows)" in verdict.reason


def test_sound_model_passes_all_perturbations(verdict_of):
    gate = Robustness(
        noise={"wind_speed": 0.5, "hour": 1}, missing=("wind_speed", "temp"), unseen=("carrier", "dest"),
        extremes=("distance", "pressure"), maximum_flips=0.3, maximum_loss=5,
    )  # fmt: skip
    verdict = verdict_of(gate)
    assert verdict.outcome == "pass", verdict.reason
    assert verdict.figures["perturbations"] == 10


def test_flips_at_the_maximum_pass(verdict_of):
    noise = {"wind_speed": 0.5}
    flips = verdict_of(Robustness(noise=noise, maximum_flips=0.99), jumpy).figures["largest_flips"]
    assert verdict_of(Robustness(noise=noise, maximum_flips=flips), jumpy).outcome == "pass"
    assert verdict_of(Robustness(noise=noise, maximum_flips=flips * 0.99), jumpy).outcome == "fail"


def test_missing_value_with_a_large_loss_is_named(verdict_of):
    def lost(frame):
        return np.where(frame["temp"].isna(), 1 - sound(frame), sound(frame))

    gate = Robustness(missing=("temp", "pressure"), maximum_loss=0.1)
    verdict = verdict_of(gate, lost)
    assert (verdict.outcome, "pressure" in verdict.reason) == ("fail", False)
    assert "a missing temp costs " in verdict.reason


def test_loss_at_the_maximum_passes(verdict_of):
    gate = Robustness(missing=("wind_speed",), maximum_loss=9)
    loss = verdict_of(gate).figures["largest_loss"]
    assert loss > 0
    for limit, outcome in ((loss, "pass"), (loss * 0.99, "fail")):
        assert verdict_of(Robustness(missing=("wind_speed",), maximum_loss=limit)).outcome == outcome


def test_model_that_raises_at_an_unseen_category_fails(verdict_of):
    def strict(frame):
        if not set(frame["dest"]) <= {"BOS", "LAX", "ORD", "SFO"}:
            raise ValueError("Found unknown categories in column dest")
        return sound(frame)

    verdict = verdict_of(Robustness(unseen=("dest", "carrier")), strict)
    assert verdict.outcome == "fail"
    assert "an unseen dest: " in verdict.reason
    assert "Found unknown categories" in verdict.reason
    assert "carrier" not in verdict.reason
    assert verdict.figures["perturbations"] == 2


@pytest.mark.parametrize("how", [{"noise": {"carrier": 1}}, {"extremes": ("carrier",)}])
def test_noise_or_extremes_of_a_text_column_fail_with_its_name(verdict_of, how):
    verdict = verdict_of(Robustness(**how))
    assert (verdict.outcome, "carrier is not numeric" in verdict.reason) == ("fail", True)


def test_extreme_that_leaves_the_declared_range_fails(verdict_of):
    gate = Robustness(extremes=("distance",))
    verdict = verdict_of(gate, minutes, task="regression")
    assert (verdict.outcome, "an extreme distance moves " in verdict.reason) == ("fail", True)


@pytest.mark.parametrize(("tolerance", "outcome"), [(0.5, "fail"), (1.0, "pass")])
def test_noise_may_move_a_regression_by_its_tolerance(verdict_of, tolerance, outcome):
    gate = Robustness(noise={"wind_speed": 0.9}, tolerance=tolerance)
    assert verdict_of(gate, minutes, task="regression").outcome == outcome


@pytest.mark.parametrize(("rows", "measured"), [(100, 100), (100_000, 1_140)])
def test_rows_are_bounded_always_the_same_and_reported(verdict_of, rows, measured):
    gate = Robustness(noise={"wind_speed": 0.5}, rows=rows, maximum_flips=0.99)
    first = verdict_of(gate, jumpy)
    assert first == verdict_of(gate, jumpy)
    assert (first.figures["rows"], f"(on {measured} rows)" in first.reason) == (measured, True)


@pytest.mark.parametrize(
    ("task", "before", "after", "flips"),
    [
        ("multiclass", [[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]], [[0.4, 0.5, 0.1], [0.3, 0.4, 0.3]], [True, False]),
        ("anomaly", [-0.1, 0.1], [0.1, 0.2], [True, False]),
        ("binary", [0.4, 0.6], [0.6, 0.9], [True, False]),
        ("regression", [1.0, 2.0], [1.3, 2.1], [True, False]),
    ],
)
def test_decision_of_each_task_flips(task, before, after, flips):
    tolerance = 0.2 if task == "regression" else None
    declared = Robustness(noise={"wind_speed": 0.5}, tolerance=tolerance)
    gate = RobustnessGate(declared, SimpleNamespace(task=task))
    assert gate._flips(np.array(before), np.array(after), 0.5).tolist() == flips
