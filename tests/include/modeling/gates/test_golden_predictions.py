from __future__ import annotations

import numpy as np
import pytest

from include.declarations import GoldenCase, GoldenPredictions

ROW = {
    "carrier": "AA", "origin": "JFK", "dest": "BOS", "hour": 6, "weekday": 1, "distance": 200.0,
    "temp": 10.0, "wind_speed": 5.0, "pressure": 10.0,
}  # fmt: skip


def cases(**bounds):
    return GoldenPredictions(cases=(GoldenCase(name="calm_morning", row=ROW, **bounds),))


def test_prediction_within_its_bounds_passes(verdict_of):
    assert verdict_of(cases(maximum=0.2)).outcome == "pass"


def test_case_outside_its_bounds_is_named(verdict_of):
    verdict = verdict_of(cases(minimum=0.5, maximum=0.9), lambda frame: np.full(len(frame), 0.25))
    assert verdict.outcome == "fail"
    assert verdict.reason == "calm_morning is predicted as 0.25, at least 0.5 and at most 0.9 expected"


@pytest.mark.parametrize("bounds", [{"minimum": 0.25}, {"maximum": 0.25}])
def test_prediction_at_its_bound_passes(verdict_of, bounds):
    assert verdict_of(cases(**bounds), lambda frame: np.full(len(frame), 0.25)).outcome == "pass"
