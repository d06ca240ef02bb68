from __future__ import annotations

import json

from include.inference.golden_comparison import compare_golden_rows


def test_present_packages_predict_as_in_training(packaged):
    comparison = compare_golden_rows(packaged)
    assert (comparison.is_same, comparison.problem) == (True, "")
    assert comparison.rows > 0


def test_other_predictions_are_measured(packaged):
    path = packaged / "golden.json"
    content = json.loads(path.read_text())
    content["predictions"][0] += 0.25
    path.write_text(json.dumps(content))
    comparison = compare_golden_rows(packaged)
    assert round(comparison.largest_difference, 6) == 0.25
    assert not comparison.is_same


def test_model_that_cannot_be_loaded_is_the_problem(tmp_path):
    comparison = compare_golden_rows(tmp_path / "nothing")
    assert (comparison.is_same, comparison.rows) == (False, 0)
    assert "nothing" in comparison.problem
