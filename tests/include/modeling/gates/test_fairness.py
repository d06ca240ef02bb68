from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate

from include.declarations import Fairness
from include.modeling.gates import fairness
from tests.include.modeling.gates.conftest import minutes, sound

RATES = ("selection_rate", "true_positive_rate", "false_positive_rate")


def unfair(frame):
    """Predict well, but never reach the threshold for Newark."""
    return np.where(frame["origin"] == "EWR", sound(frame) / 10, sound(frame))


@pytest.mark.parametrize("metric", RATES)
def test_slice_with_a_different_rate_is_named_with_its_rows(verdict_of, metric):
    verdict = verdict_of(Fairness(column="origin", metrics=(metric,), maximum_gap=0.05), unfair)
    assert verdict.outcome == "fail"
    assert f"{metric} is 0.000 for origin EWR (" in verdict.reason
    assert " rows) and 0." in verdict.reason
    assert "0.05 allowed" in verdict.reason


def test_slice_that_is_ranked_badly_fails(verdict_of):
    def unordered(frame):
        return np.where(frame["origin"] == "LGA", 0.3, sound(frame))

    verdict = verdict_of(Fairness(column="origin", metrics=("roc_auc",), maximum_gap=0.2), unordered)
    assert (verdict.outcome, "roc_auc is 0.500 for origin LGA" in verdict.reason) == ("fail", True)


def test_sound_model_passes(verdict_of):
    gate = Fairness(column="origin", metrics=(*RATES, "roc_auc"), maximum_gap=0.2, minimum_ratio=0.5)
    assert verdict_of(gate).outcome == "pass"


def test_gap_at_the_maximum_passes(verdict_of):
    gate = Fairness(column="origin", metrics=("selection_rate",), maximum_gap=0.5)
    gap = verdict_of(gate, unfair).figures["selection_rate.gap"]
    for limit, outcome in ((gap, "pass"), (gap * 0.999, "fail")):
        declared = Fairness(column="origin", metrics=("selection_rate",), maximum_gap=limit)
        assert verdict_of(declared, unfair).outcome == outcome


def test_ratio_at_the_minimum_passes(verdict_of):
    def lower(frame):
        return np.where(frame["origin"] == "EWR", sound(frame) * 0.8, sound(frame))

    gate = Fairness(column="origin", metrics=("selection_rate",), minimum_ratio=0.1)
    ratio = verdict_of(gate, lower).figures["selection_rate.ratio"]
    for limit, outcome in ((ratio, "pass"), (ratio * 1.001, "fail")):
        declared = Fairness(column="origin", metrics=("selection_rate",), minimum_ratio=limit)
        assert verdict_of(declared, lower).outcome == outcome


def test_slice_with_too_few_rows_is_counted_and_not_judged(verdict_of):
    def rows(frame):
        few = frame.groupby("_airworthy_day").cumcount() == 0
        return frame.assign(origin=frame["origin"].where(~few, "TEB"))

    def biased(frame):
        return np.where(frame["origin"] == "TEB", 1.0, sound(frame))

    small = Fairness(column="origin", metrics=("selection_rate",), maximum_gap=0.2)
    verdict = verdict_of(small, biased, rows=rows)
    assert (verdict.outcome, verdict.figures["too_small"], "TEB" in verdict.reason) == ("pass", 1, False)
    every = Fairness(column="origin", metrics=("selection_rate",), maximum_gap=0.2, minimum_support=1)
    assert "TEB (19 rows)" in verdict_of(every, biased, rows=rows).reason


def test_single_slice_is_inconclusive(verdict_of):
    gate = Fairness(column="origin", metrics=("selection_rate",), maximum_gap=0.2)
    verdict = verdict_of(gate, rows=lambda frame: frame.assign(origin="JFK"))
    assert (verdict.outcome, "fewer than two slices by origin" in verdict.reason) == ("inconclusive", True)


def test_missing_value_is_a_slice(verdict_of):
    def rows(frame):
        return frame.assign(origin=frame["origin"].where(frame["origin"] != "EWR", None))

    def biased(frame):
        return np.where(frame["origin"].isna(), 0.0, sound(frame))

    gate = Fairness(column="origin", metrics=("selection_rate",), maximum_gap=0.2)
    assert "origin missing (" in verdict_of(gate, biased, rows=rows).reason


def test_slices_of_values_with_the_same_text_are_merged():
    values = pd.Series(["1", 1, None, "missing", np.nan, "1"], dtype=object)
    assert list(fairness._slice_names(values)) == ["1", "1", "missing", "missing", "missing", "1"]


def test_r2_of_a_single_row_is_not_judged(verdict_of):
    def rows(frame):
        is_last = frame["flight_id"] == frame["flight_id"].iloc[-1]
        return frame.assign(origin=frame["origin"].where(~is_last, "TEB"))

    gate = Fairness(column="origin", metrics=("r2",), maximum_gap=0.2, minimum_support=1)
    verdict = verdict_of(gate, minutes, task="regression", rows=rows)
    assert (verdict.outcome, verdict.figures["too_small"], verdict.figures["slices"]) == ("pass", 1, 4)


def test_log_loss_of_no_probabilities_fails_the_gate(verdict_of):
    gate = Fairness(column="origin", metrics=("log_loss",), maximum_gap=0.2)
    assert verdict_of(gate).outcome == "pass"
    verdict = verdict_of(gate, lambda frame: sound(frame) + 0.5)
    assert (verdict.outcome, "log_loss is undefined: predictions lie in" in verdict.reason) == ("fail", True)


def test_regression_is_judged_by_its_error(verdict_of):
    def far_off(frame):
        return minutes(frame) + np.where(frame["carrier"] == "UA", 40, 0)

    gate = Fairness(column="carrier", metrics=("mae",), maximum_gap=10)
    assert verdict_of(gate, minutes, task="regression").outcome == "pass"
    assert "UA (" in verdict_of(gate, far_off, task="regression").reason


def test_rates_of_counted_rows_are_those_of_fairlearn():
    rng = np.random.default_rng(0)

    target = rng.integers(0, 2, 500) * 1.0
    decisions = rng.random(500) >= 0.4
    slices = rng.choice(["a", "b"], 500)
    functions = {
        "selection_rate": selection_rate,
        "true_positive_rate": true_positive_rate,
        "false_positive_rate": false_positive_rate,
    }
    expected = MetricFrame(
        metrics=functions, y_true=target, y_pred=decisions, sensitive_features=slices
    ).by_group
    for item in fairness.rates_by_slice(RATES, slices, target, decisions):
        assert item["value"] == pytest.approx(expected[item["metric"]][item["slice"]])
