from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.modeling.gates.likeness.distances import measure_distance

RANDOM = np.random.default_rng(0)
NUMBERS = pd.Series(RANDOM.normal(size=1_000))
TEXTS = pd.Series(RANDOM.choice(["a", "b", "c"], 1_000))


@pytest.mark.parametrize(
    ("train", "production", "kind", "low", "high"),
    [
        (NUMBERS, NUMBERS, "values", 0, 0),
        (NUMBERS, NUMBERS + 1, "values", 0.3, 0.45),
        (NUMBERS, NUMBERS + 99, "values", 1, 1),
        (NUMBERS, NUMBERS.where(RANDOM.random(1_000) > 0.5), "missing", 0.45, 0.55),
        (NUMBERS, NUMBERS.astype(object), "values", 0, 0),
        (TEXTS, TEXTS, "values", 0, 0),
        (TEXTS, TEXTS.replace("a", "d"), "values", 0.3, 0.37),
        (TEXTS, TEXTS.where(TEXTS != "a"), "missing", 0.3, 0.37),
        (NUMBERS > 0, NUMBERS > 1, "values", 0.3, 0.4),
        (pd.Series([np.nan] * 200), NUMBERS, "missing", 1, 1),
    ],
)
def test_distance_of_two_samples(train, production, kind, low, high):
    measured = measure_distance(train, production)
    assert measured.kind == kind
    assert low <= measured.distance <= high
    assert (measured.p_value < 0.001) is (measured.distance > 0.1)


def test_rare_categories_count_as_one():
    train = pd.Series([f"id {number}" for number in range(500)])
    production = pd.Series([f"id {number}" for number in range(500, 900)])
    assert measure_distance(train, production).distance == 0
