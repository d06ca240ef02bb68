from __future__ import annotations

import numpy as np
import pytest

from include.declarations import Calibration
from include.modeling.evaluation.metrics import bins_of
from tests.include.modeling.gates.conftest import sound


def sure(frame):
    """Be far too sure in either direction."""
    return np.where(sound(frame) > 0.5, 0.99, 0.01)


def test_a_probability_that_does_not_mean_what_it_says_is_shown_where_it_is_worst(verdict_of):
    found = verdict_of(Calibration(maximum_error=0.05), sure)
    assert found.outcome == "fail"
    assert "worst where 0.99" in found.reason or "worst where 0.01" in found.reason
    assert " rows" in found.reason


def test_the_true_probability_is_calibrated(verdict_of):
    assert verdict_of(Calibration(maximum_error=0.06)).outcome == "pass"


def test_an_error_as_large_as_allowed_passes_and_one_a_little_larger_is_for_a_person(verdict_of):
    error = verdict_of(Calibration(maximum_error=1)).figures["error"]
    assert verdict_of(Calibration(maximum_error=error)).outcome == "pass"
    assert verdict_of(Calibration(maximum_error=error * 0.97)).outcome == "inconclusive"


def test_a_constant_answer_has_one_bin(verdict_of):
    found = verdict_of(Calibration(maximum_error=0.9), lambda frame: np.full(len(frame), 0.3))
    assert found.outcome == "pass"
    assert len(set(bins_of(np.full(9, 0.3), 10))) == 1


@pytest.mark.parametrize("count", [2, 10])
def test_bins_hold_equally_many_rows(count):
    rows = np.bincount(bins_of(np.random.default_rng(0).random(1_000), count))
    assert len(rows) == count
    assert set(rows) == {1_000 // count}
