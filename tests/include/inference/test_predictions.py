from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.inference.predictions import (
    InvalidPrediction,
    outside_range,
    prediction_gap,
    probability_tolerance,
    round_probabilities,
    validate_predictions,
)


def test_valid_predictions_are_returned_as_numbers() -> None:
    assert validate_predictions(np.array([0.0, 1.0]), 2, (0, 1)) == [0.0, 1.0]


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        ([0.1], "shape"),
        ([[0.1], [0.2]], "shape"),
        ([0.1, np.nan], "finite"),
        ([0.1, np.inf], "finite"),
        ([0.1, 1.01], "outside"),
    ],
)
def test_invalid_predictions_are_rejected(predictions, message: str) -> None:
    with pytest.raises(InvalidPrediction, match=message):
        validate_predictions(np.array(predictions), 2, (0, 1))


def test_multiclass_predictions_are_lists_of_probabilities():
    probabilities = [[0.7, 0.2, 0.1], [0.0, 0.0, 1.0]]
    assert validate_predictions(np.array(probabilities), 2, (0, 1), n_classes=3) == probabilities


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        ([0.1, 0.9], "shape"),
        ([[0.5, 0.5], [0.1, 0.9]], "shape"),
        ([[0.1, 0.2, np.nan]] * 2, "finite"),
        ([[0.1, 1.2, -0.3]] * 2, "outside"),
        ([[0.1, 0.2, 0.3]] * 2, "do not add up to 1"),
    ],
)
def test_invalid_probabilities_are_rejected(predictions, message):
    with pytest.raises(InvalidPrediction, match=message):
        validate_predictions(np.array(predictions), 2, (0, 1), n_classes=3)


def votes(rng, classes, trees, dtype):
    """Return the probabilities of a forest that adds up its trees in one precision."""
    share = np.dtype(dtype).type(1) / np.dtype(dtype).type(trees)
    counts = rng.multinomial(trees, rng.dirichlet(np.ones(classes)), size=20)
    total = np.zeros(counts.shape, dtype=dtype)
    for tree in range(trees):
        total += (counts > tree).astype(dtype) * share
    return total


@given(
    seed=st.integers(0, 99), classes=st.integers(2, 5), trees=st.integers(1, 1_000),
    dtype=st.sampled_from([np.float32, np.float64]),
)  # fmt: skip
def test_probabilities_of_any_precision_can_be_served(seed, classes, trees, dtype):
    output = votes(np.random.default_rng(seed), classes, trees, dtype)
    rounded = round_probabilities(output)
    n_classes = classes if classes > 2 else 0
    predictions = rounded if n_classes else rounded[:, 1]
    validate_predictions(predictions, len(output), (0, 1), n_classes=n_classes)
    assert np.abs(rounded - output).max() <= probability_tolerance(dtype)


@given(seed=st.integers(0, 99), offset=st.sampled_from([-0.5, -0.01, 0.01, 0.5]))
def test_what_is_no_probability_is_not_rounded(seed, offset):
    output = votes(np.random.default_rng(seed), 3, 10, np.float32) + np.float32(offset)
    assert np.array_equal(round_probabilities(output), output.astype(np.float64))


def test_double_probabilities_are_not_changed():
    probabilities = np.array([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4 + 1e-9]])
    assert np.array_equal(round_probabilities(probabilities), probabilities)


@given(
    bound=st.floats(1e-30, 1e30), sign=st.sampled_from([-1, 1]),
    dtype=st.sampled_from([np.float32, np.float64]),
)  # fmt: skip
def test_bound_in_any_precision_is_inside_the_range(bound, sign, dtype):
    value = float(np.dtype(dtype).type(bound))
    valid_range = (0.0, bound) if sign > 0 else (-bound, 0.0)
    assert not outside_range(np.array([sign * value, 0.0]), valid_range).any()
    assert outside_range(np.array([sign * value * 1.001, -sign * value * 0.001, np.nan]), valid_range).all()


@given(scale=st.floats(1e-200, 1e200), sign=st.sampled_from([-1, 1]))
def test_gap_is_judged_in_the_scale_of_the_predictions(scale, sign):
    expected = sign * scale * np.array([0.0, 0.5, 1.0])
    gap, allowed = prediction_gap(expected, expected * (1 + 1e-12))
    assert gap <= allowed
    gap, allowed = prediction_gap(expected, expected * (1 + 1e-6))
    assert gap > allowed


def test_gap_of_other_shapes_and_infinite_values_is_the_largest():
    expected = np.array([1.0, 2.0])
    for predictions in (np.array([1.0]), np.array([1.0, np.inf]), np.array([1.0, np.nan])):
        assert prediction_gap(expected, predictions)[0] > 1e300
