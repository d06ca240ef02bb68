from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import expit

from include.monitoring.quality.causes import adjust_to_shares, find_cause
from include.monitoring.quality.promised import EvaluationComparison
from include.use_cases.flight_delay import USE_CASE

ROWS = 20_000
WORSE = EvaluationComparison("log_loss", 0.7, (0.65, 0.75), (0.5, 0.54), is_worse=True)


@pytest.fixture
def rows():
    random = np.random.default_rng(0)
    predictions = expit(1.5 * random.normal(size=ROWS) - 1)
    return predictions, (random.random(ROWS) < predictions).astype(np.float64)


def cause(predictions, target, compared=WORSE, trained=0.32):
    result = find_cause(USE_CASE, compared, predictions, target, trained)
    return result.name if result else None


def test_metric_as_promised_has_no_cause(rows):
    assert cause(*rows, WORSE._replace(is_worse=False)) is None


def test_harder_rows_are_covariate_shift():
    assert cause(np.full(ROWS, 0.5), np.zeros(ROWS)) == "covariate shift"


def test_wrong_answers_are_concept_drift(rows):
    predictions, target = rows
    assert cause(predictions, 1 - target) == "concept drift"


def test_other_shares_of_the_same_rows_are_label_shift(rows):
    predictions, target = rows
    weights = np.where(target == 1, 4.0, 1.0)
    chosen = np.random.default_rng(1).choice(ROWS, ROWS, p=weights / weights.sum())
    assert cause(predictions[chosen], target[chosen], trained=target.mean()) == "label shift"


def test_adjusted_probabilities_are_right_for_other_shares():
    adjusted = adjust_to_shares(np.array([0.5]), np.array([1.0, 1.0, 1.0, 0.0]), 0.5)
    assert adjusted == pytest.approx([0.75])
    several = adjust_to_shares(np.full((4, 2), 0.5), np.array([1.0, 1.0, 1.0, 0.0]), np.array([0.5, 0.5]))
    assert several[0] == pytest.approx([0.25, 0.75])


def test_regression_has_no_cause(rows):
    regression = SimpleNamespace(task="regression", metric="mae")
    assert find_cause(regression, WORSE._replace(metric="mae"), *rows, 0.3) is None
