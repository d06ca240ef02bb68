from __future__ import annotations

import numpy as np
import pytest

from include.inference.twin.compiled import add_evidence, describe_twin, load_twin, write_twin
from include.inference.twin.encoder import Encoder, NumberColumn

ENCODER = Encoder((NumberColumn("x"),))
ROWS = {"x": [0.0, 2.0]}


def write_linear(folder, link: str, *weights: float) -> None:
    """Write a twin whose outputs have the intercepts and then the coefficients `weights`."""
    parameters = {"n_outputs": len(weights) // 2, "link": link}
    write_twin(folder, "linear", ENCODER, np.array(weights).tobytes(), parameters)


def test_a_twin_is_restored_from_its_files(tmp_path) -> None:
    write_linear(tmp_path, "identity", 1.0, 3.0)
    add_evidence(tmp_path, {"largest_gap": 0.0, "tolerance": 1e-9})
    assert load_twin(tmp_path, "regression").predict(ROWS, 2).tolist() == [1.0, 7.0]
    assert describe_twin(tmp_path) == {"kind": "linear", "largest_gap": 0.0, "tolerance": 1e-9}


@pytest.mark.parametrize(
    ("task", "link", "weights", "shape"),
    [
        ("binary", "sigmoid", (0.0, 1.0), (2,)),
        ("binary", "softmax", (0.0, 0.0, 1.0, 2.0), (2,)),
        ("multiclass", "softmax", (0.0, 0.0, 0.0, 1.0, 2.0, 3.0), (2, 3)),
    ],
)
def test_probabilities_have_the_shape_of_the_task(tmp_path, task, link, weights, shape) -> None:
    write_linear(tmp_path, link, *weights)
    predictions = load_twin(tmp_path, task).predict(ROWS, 2)
    assert predictions.shape == shape
    assert predictions[0] == pytest.approx(1 / 3 if task == "multiclass" else 0.5)


def test_a_package_without_a_twin_has_none(tmp_path) -> None:
    assert load_twin(tmp_path, "binary") is None
    assert describe_twin(tmp_path) == {}
