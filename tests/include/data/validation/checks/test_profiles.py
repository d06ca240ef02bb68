from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.data.validation.checks.profiles import (
    has_values,
    merged,
    population_stability_index,
    profile,
    profile_size,
)

NULLS = pd.Series([np.nan] * 500)
NUMBERS = pd.Series(np.arange(500.0))
TEXTS = pd.Series(["a", None, "b"])


def test_index_of_two_categories_equals_the_formula():
    old = pd.Series(["a"] * 6_000 + ["b"] * 4_000)
    new = pd.Series(["a"] * 4_000 + ["b"] * 6_000)
    expected = 2 * 0.2 * np.log(6 / 4)
    assert population_stability_index(profile(old), profile(new)) == pytest.approx(expected, rel=0.01)


def test_index_against_nulls_alone_is_high_and_finite():
    assert population_stability_index(profile(NULLS), profile(NUMBERS)) > 1
    assert population_stability_index(profile(NULLS), profile(NULLS)) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(
    ("values", "size", "valued"),
    [(NULLS, 500, False), (NUMBERS, 500, True), (TEXTS, 3, True), (pd.Series([None, None]), 2, False)],
)
def test_profile_has_a_size_and_may_have_values(values, size, valued):
    assert profile_size(profile(values)) == size
    assert has_values(profile(values)) is valued


def test_merged_profile_describes_all_rows():
    assert profile_size(merged([profile(NULLS), profile(NUMBERS)])) == 1_000
    assert merged([profile(TEXTS), profile(TEXTS)])["a"] == 2
