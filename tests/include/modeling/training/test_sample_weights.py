from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.declarations import Training
from include.modeling.training.sample_weights import sample_weights

FRAME = pd.DataFrame(
    {"_airworthy_day": ["2013-01-01", "2013-01-08", "2013-01-15"], "_airworthy_target": [0, 0, 1]}
)


def test_without_declared_weights_there_are_none():
    assert sample_weights(Training(), FRAME) is None


def test_a_row_that_is_one_half_life_older_has_half_the_weight():
    weights = sample_weights(Training(half_life_days=7), FRAME)
    assert weights == pytest.approx(np.array([0.25, 0.5, 1]) / (1.75 / 3))


def test_balanced_classes_have_equal_total_weights():
    assert sample_weights(Training(class_weights="balanced"), FRAME) == pytest.approx([0.75, 0.75, 1.5])


def test_declared_class_weights_are_applied_in_class_order():
    assert sample_weights(Training(class_weights=(1, 4)), FRAME) == pytest.approx([0.5, 0.5, 2])


def test_class_weights_and_age_weights_are_multiplied():
    weights = sample_weights(Training(class_weights=(1, 4), half_life_days=7), FRAME)
    assert weights == pytest.approx(np.array([0.25, 0.5, 4]) / (4.75 / 3))
