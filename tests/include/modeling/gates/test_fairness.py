from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate
from hypothesis import given
from hypothesis import strategies as st

from include.declarations import Fairness
from include.modeling.evaluation import slices as slicing
from include.modeling.evaluation.evidence import Measurement
from include.modeling.gates.fairness import FairnessGate, slice_ratio
from include.use_cases.air_time import USE_CASE as AIR_TIME
from tests.include.modeling.evaluation.metrics import own_metrics
from tests.include.modeling.gates.conftest import EVIDENCE, minutes, sound

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
    for limit, outcome in ((gap, "pass"), (gap * 0.999, "inconclusive"), (gap / 9, "fail")):
        declared = Fairness(column="origin", metrics=("selection_rate",), maximum_gap=limit)
        assert verdict_of(declared, unfair).outcome == outcome


def test_ratio_at_the_minimum_passes(verdict_of):
    def lower(frame):
        return np.where(frame["origin"] == "EWR", sound(frame) * 0.8, sound(frame))

    gate = Fairness(column="origin", metrics=("selection_rate",), minimum_ratio=0.1)
    ratio = verdict_of(gate, lower).figures["selection_rate.ratio"]
    for limit, outcome in ((ratio, "pass"), (ratio * 1.001, "inconclusive")):
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
    assert list(slicing.slice_names(values)) == ["1", "1", "missing", "missing", "missing", "1"]


def test_r2_of_a_single_row_is_not_judged(verdict_of):
    def rows(frame):
        is_last = frame["flight_id"] == frame["flight_id"].iloc[-1]
        return frame.assign(origin=frame["origin"].where(~is_last, "TEB"))

    gate = Fairness(column="origin", metrics=("r2",), maximum_gap=0.2, minimum_support=1)
    verdict = verdict_of(gate, minutes, task="regression", rows=rows)
    assert (verdict.outcome, verdict.figures["too_small"], verdict.figures["slices"]) == ("pass", 0, 4)
    assert "r2 of TEB is undefined: there is a single row" in verdict.reason


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
    for item in slicing.rates_by_slice(RATES, slices, target, decisions):
        assert item["value"] == pytest.approx(expected[item["metric"]][item["slice"]])


def judged(values, spread=0.0, units=14, **limits):
    """Return the verdict on slices with these values of R²."""
    gate = FairnessGate(Fairness(column="carrier", metrics=("r2",), **limits), AIR_TIME)
    items = tuple(
        {"slice": str(number), "metric": "r2", "value": value, "rows": 500, "spread": spread}
        for number, value in enumerate(values)
    )
    evidence = EVIDENCE.model_copy(
        update={"units": units, "measurements": {gate.key: Measurement(items=items, rows=900)}}
    )
    return gate.judge(evidence)


@pytest.mark.parametrize(
    ("values", "outcome"),
    [
        ((0.8, 1.0), "pass"), ((0.79, 1.0), "fail"), ((-5.0, -0.1), "fail"), ((-1.0, -0.9), "pass"),
        ((-0.1, 0.9), "fail"), ((0.0, 0.9), "fail"), ((0.0, 0.0), "pass"), ((-0.5, 0.0), "fail"),
    ],
)  # fmt: skip
def test_ratio_is_right_for_every_sign(values, outcome):
    assert judged(values, minimum_ratio=0.8).outcome == outcome


@given(first=st.floats(-1e300, 1e300), second=st.floats(-1e300, 1e300), sign=st.sampled_from([-1, 1]))
def test_ratio_lies_in_0_to_1_and_has_no_order(first, second, sign):
    ratio = slice_ratio(first, second)
    assert 0 <= ratio <= 1
    assert ratio == slice_ratio(second, first) == slice_ratio(sign * first, sign * second)


@given(scale=st.floats(1e-300, 1e300), spread=st.sampled_from([0.0, 0.01, 10.0]))
def test_verdict_on_a_gap_is_the_same_in_every_scale(scale, spread):
    values = (1.0 * scale, 1.5 * scale)
    expected = judged((1.0, 1.5), spread, maximum_gap=0.2).outcome
    assert judged(values, spread * scale, maximum_gap=0.2 * scale).outcome == expected


def test_gap_that_may_be_chance_is_inconclusive():
    verdict = judged((0.5, 0.9), spread=0.2, maximum_gap=0.2)
    assert (verdict.outcome, "it may be chance, at 95% for all slices" in verdict.reason) == (
        "inconclusive",
        True,
    )
    assert judged((0.5, 0.9), spread=0.01, maximum_gap=0.2).outcome == "fail"
    assert judged((0.5, 0.9), spread=0.01, maximum_gap=0.2, units=1).outcome == "inconclusive"


def test_more_slices_need_more_certainty():
    assert judged((0.5, 0.9), spread=0.05, maximum_gap=0.2).outcome == "fail"
    many = judged((0.5, 0.9, *[0.7] * 40), spread=0.05, maximum_gap=0.2)
    assert (many.outcome, many.figures["compared"]) == ("inconclusive", 42 * 41 // 2)


def test_number_is_sliced_into_bins(verdict_of):
    def biased(frame):
        return np.where(frame["distance"] > 1_700, sound(frame) / 10, sound(frame))

    gate = Fairness(column="distance", metrics=("selection_rate",), maximum_gap=0.1, bins=3)
    verdict = verdict_of(gate, biased)
    assert (verdict.outcome, verdict.figures["slices"]) == ("fail", 3)
    assert "for distance from " in verdict.reason


def test_slices_of_two_columns_are_their_combinations(verdict_of):
    def biased(frame):
        both = (frame["origin"] == "EWR") & (frame["carrier"] == "UA")
        return np.where(both, 0.0, sound(frame))

    gate = Fairness(column=("origin", "carrier"), metrics=("selection_rate",), maximum_gap=0.2)
    verdict = verdict_of(gate, biased)
    assert (verdict.gate, verdict.outcome) == ("fairness_origin_carrier", "fail")
    assert "for origin and carrier EWR and UA" in verdict.reason


def test_class_missing_in_a_slice_is_said_in_words(verdict_of):
    def rows(frame):
        target = frame["_airworthy_target"].where(frame["origin"] != "EWR", 0)
        return frame.assign(_airworthy_target=target)

    gate = Fairness(column="origin", metrics=("roc_auc",), maximum_gap=0.2)
    reason = verdict_of(gate, rows=rows).reason
    assert "roc_auc of EWR is undefined: none of the" in reason
    assert "rows is above 15" in reason


def test_own_metric_that_is_undefined_in_a_slice_is_said(verdict_of):
    def rows(frame):
        target = frame["_airworthy_target"].where(frame["origin"] != "EWR", 0)
        return frame.assign(_airworthy_target=target)

    hits = f"{own_metrics.__name__}:hits"
    gate = Fairness(column="origin", metrics=(hits,), maximum_gap=0.5)
    assert f"{hits} of EWR is undefined" in verdict_of(gate, rows=rows).reason
