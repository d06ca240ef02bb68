from __future__ import annotations

import numpy as np
import pytest

from include.declarations import Calibration
from include.modeling.evaluation.metrics import equal_count_bins
from tests.include.modeling.gates.conftest import sound


def overconfident(frame):
    """Return probabilities that are too extreme in both directions."""
    return np.where(sound(frame) > 0.5, 0.99, 0.01)


def test_overconfident_model_fails_and_names_the_worst_bin(verdict_of):
    verdict = verdict_of(Calibration(maximum_error=0.05), overconfident)
    assert verdict.outcome == "fail"
    assert "worst where 0.99" in verdict.reason or "worst where 0.01" in verdict.reason
    assert " rows" in verdict.reason


def test_true_probability_passes(verdict_of):
    assert verdict_of(Calibration(maximum_error=0.06)).outcome == "pass"


def test_error_at_the_maximum_passes_and_above_is_open(verdict_of):
    error = verdict_of(Calibration(maximum_error=1)).figures["error"]
    assert verdict_of(Calibration(maximum_error=error)).outcome == "pass"
    assert verdict_of(Calibration(maximum_error=error * 0.97)).outcome == "inconclusive"


def test_constant_prediction_has_one_bin(verdict_of):
    verdict = verdict_of(Calibration(maximum_error=0.9), lambda frame: np.full(len(frame), 0.3))
    assert verdict.outcome == "pass"
    assert len(set(equal_count_bins(np.full(9, 0.3), 10))) == 1


@pytest.mark.parametrize("count", [2, 10])
def test_bins_hold_equally_many_rows(count):
    rows = np.bincount(equal_count_bins(np.random.default_rng(0).random(1_000), count))
    assert len(rows) == count
    assert set(rows) == {1_000 // count}
