from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from include.declarations import Calibration
from include.modeling.evaluation.bootstrap import UnitBootstrap
from include.modeling.evaluation.metrics import equal_count_bins
from include.modeling.gates.calibration import CalibrationGate
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
    # A smaller maximum has larger bins, and these another error.
    smallest = verdict_of(Calibration(maximum_error=0.01)).figures["error"]
    assert verdict_of(Calibration(maximum_error=smallest * 0.97)).outcome == "inconclusive"


def test_constant_prediction_has_one_bin(verdict_of):
    verdict = verdict_of(Calibration(maximum_error=0.9), lambda frame: np.full(len(frame), 0.3))
    assert verdict.outcome == "pass"
    assert len(set(equal_count_bins(np.full(9, 0.3), 10))) == 1


@pytest.mark.parametrize("count", [2, 10])
def test_bins_hold_equally_many_rows(count):
    rows = np.bincount(equal_count_bins(np.random.default_rng(0).random(1_000), count))
    assert len(rows) == count
    assert set(rows) == {1_000 // count}


def calibration(task, predictions, target, *, days=14, maximum=0.1):
    """Return the error, and whether the gate fails, of predictions of rows in time order."""
    use_case = SimpleNamespace(task=task)
    units = UnitBootstrap.of_days(np.arange(len(target)) * days // len(target))
    rows = SimpleNamespace(predictions=predictions, target=target)
    context = SimpleNamespace(test=rows, train=rows, units=units, use_case=use_case)
    figures = CalibrationGate(Calibration(maximum_error=maximum), use_case).measure(context).figures
    return figures["error"], figures["lower"] > maximum


def drawn(task, random, rows):
    """Return true probabilities or means, and what is drawn from them."""
    if task == "regression":
        means = random.normal(size=rows)
        return means, means + random.normal(size=rows)
    if task == "binary":
        chances = random.random(rows)
        return chances, (random.random(rows) < chances).astype(float)
    chances = random.dirichlet([1, 1, 1], rows)
    return chances, (random.random((rows, 1)) > chances.cumsum(axis=1)).sum(axis=1).astype(float)


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_wrong_level_fails_and_the_true_one_passes(task):
    true, target = drawn(task, np.random.default_rng(0), 2_000)
    error, is_failed = calibration(task, true, target)
    assert (error < 0.1, is_failed) == (True, False)
    sure = np.eye(3)[true.argmax(axis=1)] if task == "multiclass" else true + 0.5
    error, is_failed = calibration(task, sure, target)
    assert (error > 0.2, is_failed) == (True, True)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize(("rows", "days"), [(60, 5), (300, 7), (1_000, 14)])
def test_true_probabilities_seldom_fail(task, rows, days):
    random = np.random.default_rng(0)
    failures = [calibration(task, *drawn(task, random, rows), days=days)[1] for _ in range(30)]
    assert np.mean(failures) <= 0.05
