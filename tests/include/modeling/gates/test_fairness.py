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
    """Answer as is right, but never act for Newark."""
    return np.where(frame["origin"] == "EWR", sound(frame) / 10, sound(frame))


@pytest.mark.parametrize("metric", RATES)
def test_a_slice_that_is_treated_otherwise_is_named_with_its_rows(verdict_of, metric):
    found = verdict_of(Fairness(column="origin", metrics=(metric,), maximum_gap=0.05), unfair)
    assert found.outcome == "fail"
    assert f"{metric} is 0.000 for origin EWR (" in found.reason
    assert " rows) and 0." in found.reason
    assert "0.05 allowed" in found.reason


def test_a_model_that_ranks_one_slice_badly_is_found_too(verdict_of):
    def blind(frame):
        return np.where(frame["origin"] == "LGA", 0.3, sound(frame))

    found = verdict_of(Fairness(column="origin", metrics=("roc_auc",), maximum_gap=0.2), blind)
    assert (found.outcome, "roc_auc is 0.500 for origin LGA" in found.reason) == ("fail", True)


def test_a_sound_model_treats_slices_alike(verdict_of):
    gate = Fairness(column="origin", metrics=(*RATES, "roc_auc"), maximum_gap=0.2, minimum_ratio=0.5)
    assert verdict_of(gate).outcome == "pass"


def test_a_gap_as_large_as_allowed_passes(verdict_of):
    gate = Fairness(column="origin", metrics=("selection_rate",), maximum_gap=0.5)
    gap = verdict_of(gate, unfair).figures["selection_rate.gap"]
    for limit, outcome in ((gap, "pass"), (gap * 0.999, "fail")):
        declared = Fairness(column="origin", metrics=("selection_rate",), maximum_gap=limit)
        assert verdict_of(declared, unfair).outcome == outcome


def test_a_ratio_as_small_as_allowed_passes(verdict_of):
    def less(frame):
        return np.where(frame["origin"] == "EWR", sound(frame) * 0.8, sound(frame))

    gate = Fairness(column="origin", metrics=("selection_rate",), minimum_ratio=0.1)
    ratio = verdict_of(gate, less).figures["selection_rate.ratio"]
    for limit, outcome in ((ratio, "pass"), (ratio * 1.001, "fail")):
        declared = Fairness(column="origin", metrics=("selection_rate",), minimum_ratio=limit)
        assert verdict_of(declared, less).outcome == outcome


def test_a_slice_with_too_few_rows_is_not_judged_and_counted(verdict_of):
    def rows(frame):
        few = frame.groupby("day").cumcount() == 0
        return frame.assign(origin=frame["origin"].where(~few, "TEB"))

    def strange(frame):
        return np.where(frame["origin"] == "TEB", 1.0, sound(frame))

    small = Fairness(column="origin", metrics=("selection_rate",), maximum_gap=0.2)
    found = verdict_of(small, strange, rows=rows)
    assert (found.outcome, found.figures["too_small"], "TEB" in found.reason) == ("pass", 1, False)
    every = Fairness(column="origin", metrics=("selection_rate",), maximum_gap=0.2, minimum_support=1)
    assert "TEB (19 rows)" in verdict_of(every, strange, rows=rows).reason


def test_one_slice_alone_cannot_be_judged(verdict_of):
    gate = Fairness(column="origin", metrics=("selection_rate",), maximum_gap=0.2)
    found = verdict_of(gate, rows=lambda frame: frame.assign(origin="JFK"))
    assert (found.outcome, "fewer than two slices by origin" in found.reason) == ("inconclusive", True)


def test_a_missing_value_is_a_slice(verdict_of):
    def rows(frame):
        return frame.assign(origin=frame["origin"].where(frame["origin"] != "EWR", None))

    def strange(frame):
        return np.where(frame["origin"].isna(), 0.0, sound(frame))

    gate = Fairness(column="origin", metrics=("selection_rate",), maximum_gap=0.2)
    assert "origin missing (" in verdict_of(gate, strange, rows=rows).reason


def test_values_of_one_name_are_one_slice_and_metrics_are_those_of_its_rows():
    values = pd.Series(["1", 1, None, "missing", np.nan, "1"], dtype=object)
    assert list(fairness._slices(values)) == ["1", "1", "missing", "missing", "missing", "1"]


def test_a_row_alone_has_no_r2_and_is_not_judged(verdict_of):
    def rows(frame):
        alone = frame["flight_id"] == frame["flight_id"].iloc[-1]
        return frame.assign(origin=frame["origin"].where(~alone, "TEB"))

    gate = Fairness(column="origin", metrics=("r2",), maximum_gap=0.2, minimum_support=1)
    found = verdict_of(gate, minutes, task="regression", rows=rows)
    assert (found.outcome, found.figures["too_small"], found.figures["slices"]) == ("pass", 1, 4)


def test_a_log_loss_of_no_probabilities_fails_the_gate_and_ends_no_other(verdict_of):
    gate = Fairness(column="origin", metrics=("log_loss",), maximum_gap=0.2)
    assert verdict_of(gate).outcome == "pass"
    found = verdict_of(gate, lambda frame: sound(frame) + 0.5)
    assert (found.outcome, "log_loss is undefined: answers lie in" in found.reason) == ("fail", True)


def test_a_regression_is_judged_by_its_error(verdict_of):
    def far_off(frame):
        return minutes(frame) + np.where(frame["carrier"] == "UA", 40, 0)

    gate = Fairness(column="carrier", metrics=("mae",), maximum_gap=10)
    assert verdict_of(gate, minutes, task="regression").outcome == "pass"
    assert "UA (" in verdict_of(gate, far_off, task="regression").reason


def test_the_rates_of_counted_rows_are_those_of_fairlearn_on_all_rows():
    rng = np.random.default_rng(0)

    class Rows:
        test = type("Part", (), {"target": rng.integers(0, 2, 500) * 1.0, "answers": rng.random(500)})
        threshold = 0.4

    slices = rng.choice(["a", "b"], 500)
    functions = {
        "selection_rate": selection_rate,
        "true_positive_rate": true_positive_rate,
        "false_positive_rate": false_positive_rate,
    }
    expected = MetricFrame(
        metrics=functions, y_true=Rows.test.target, y_pred=Rows.test.answers >= 0.4, sensitive_features=slices
    ).by_group
    for item in fairness._rates(RATES, slices, Rows):
        assert item["value"] == pytest.approx(expected[item["metric"]][item["slice"]])
