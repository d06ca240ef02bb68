from __future__ import annotations

import numpy as np
import pytest

from include.modeling.evaluation.plots import draw_evaluation
from tests.include.modeling.gates.conftest import evaluated, minutes, sound

CLASSIFIER_PLOTS = {"roc.png", "precision_recall.png", "reliability.png", "cost.png"}


@pytest.mark.parametrize(
    ("task", "function", "plots"),
    [
        ("binary", sound, CLASSIFIER_PLOTS),
        ("binary", lambda frame: np.full(len(frame), 0.5), CLASSIFIER_PLOTS),
        ("binary", lambda frame: sound(frame) + 0.5, CLASSIFIER_PLOTS),
        ("regression", minutes, {"residuals.png", "reliability.png"}),
    ],
    ids=["classifier", "constant", "above 1", "regression"],
)
def test_plots_are_those_of_the_task(tmp_path, task, function, plots):
    _, context, _ = evaluated(task, function)
    paths = draw_evaluation(context, tmp_path)
    assert {path.name for path in paths} == plots
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
