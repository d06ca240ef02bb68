from __future__ import annotations

import numpy as np
import pytest

from include.inference.predictions import InvalidPrediction, validate_predictions


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
