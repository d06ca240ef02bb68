from __future__ import annotations

import dataclasses
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.declarations import Improvement, NonInferiority, Overfitting, Threshold
from include.modeling.gates.performance import (
    ImprovementGate,
    NonInferiorityGate,
    OverfittingGate,
    ThresholdGate,
    reaches,
)
from include.use_cases.flight_delay import USE_CASE
from tests.include.modeling.gates.conftest import EVIDENCE, against_champion


def improvement(evidence, metric="log_loss", **limits):
    return ImprovementGate(Improvement(metric=metric, **limits), USE_CASE).judge(evidence)


def overfitting(evidence, **limits):
    return OverfittingGate(Overfitting(**limits), USE_CASE).judge(evidence)


def threshold(**limits):
    return ThresholdGate(Threshold(**limits), USE_CASE).judge(EVIDENCE)


def test_incomparable_champion_is_for_a_person():
    evidence = against_champion()
    champion = evidence.champion.model_copy(update={"problem": "the task was binary", "gains": ()})
    verdict = improvement(evidence.model_copy(update={"champion": champion}))
    assert verdict.outcome == "inconclusive"
    assert "could not be compared with champion 3: the task was binary" in verdict.reason


@pytest.mark.parametrize(
    ("bounds", "outcome"),
    [
        ({"minimum": 0.69}, "pass"), ({"minimum": 0.7}, "pass"), ({"minimum": 0.71}, "fail"),
        ({"minimum": 0, "maximum": 0.71}, "pass"), ({"minimum": 0, "maximum": 0.7}, "pass"),
        ({"minimum": 0, "maximum": 0.69}, "fail"),
        ({"minimum": 0.6, "maximum": 0.8}, "pass"),
    ],
)  # fmt: skip
def test_threshold_includes_its_bounds(bounds, outcome):
    assert threshold(metric="roc_auc", **bounds).outcome == outcome


def test_threshold_of_an_undefined_metric_fails():
    verdict = threshold(metric="average_precision", minimum=0.1)
    assert (verdict.outcome, "undefined" in verdict.reason) == ("fail", True)


@pytest.mark.parametrize(
    ("lower", "upper", "outcome"),
    [
        (0.021, 0.03, "pass"), (0.02, 0.03, "pass"), (0.019, 0.03, "inconclusive"),
        (0.01, 0.02, "inconclusive"), (0.01, 0.0199, "fail"), (-0.03, -0.01, "fail"),
        (-0.03, 0.025, "fail"), (-0.025, 0.03, "inconclusive"),
    ],
)  # fmt: skip
def test_improvement_is_judged_by_the_bounds_of_the_gain(lower, upper, outcome):
    evidence = against_champion(lower=lower, upper=upper)
    assert improvement(evidence, minimum_gain=0.02).outcome == outcome


def test_attempt_and_its_confidence_are_shown():
    evidence = against_champion()
    (gain,) = evidence.champion.gains
    third = dataclasses.replace(gain, attempt=3, lower_confidence=0.9969)
    champion = evidence.champion.model_copy(update={"gains": (third,)})
    verdict = improvement(evidence.model_copy(update={"champion": champion}), minimum_gain=0.002)
    assert (verdict.figures["attempt"], verdict.figures["lower_confidence"]) == (3, 0.9969)
    assert "attempt 3 since the last promotion: its lower bound is that of 99.690%" in verdict.reason
    assert "attempt" not in improvement(against_champion(), minimum_gain=0.002).reason


@pytest.mark.parametrize(("units", "outcome"), [(4, "inconclusive"), (5, "pass")])
def test_improvement_on_too_few_days_is_inconclusive(units, outcome):
    assert improvement(against_champion(units=units), minimum_gain=0.002).outcome == outcome


def test_improvement_of_the_first_model_passes():
    verdict = improvement(EVIDENCE, minimum_gain=1)
    assert (verdict.outcome, verdict.reason) == ("pass", "there is no champion yet")


@pytest.mark.parametrize("other", [{"metric": "brier"}, {"confidence": 0.8}])
def test_improvement_without_its_comparison_fails(other):
    assert improvement(against_champion(**other)).outcome == "fail"


@pytest.mark.parametrize(
    ("metric", "maximum_gap", "outcome"),
    [
        ("roc_auc", 0.06, "pass"), ("roc_auc", 0.75 - 0.7, "pass"), ("roc_auc", 0.04, "fail"),
        ("log_loss", 0.06, "pass"), ("log_loss", 0.45 - 0.4, "pass"), ("log_loss", 0.04, "fail"),
        ("brier", 0.5, "fail"),
    ],
)  # fmt: skip
def test_overfitting_gap_is_limited(metric, maximum_gap, outcome):
    assert overfitting(EVIDENCE, metric=metric, maximum_gap=maximum_gap).outcome == outcome


def test_better_test_metric_is_no_overfitting():
    swapped = {"train": EVIDENCE.metrics["test"], "test": EVIDENCE.metrics["train"]}
    evidence = EVIDENCE.model_copy(update={"metrics": swapped})
    assert overfitting(evidence, metric="log_loss", maximum_gap=0.001).outcome == "pass"


@pytest.mark.parametrize(
    ("lower", "upper", "outcome"),
    [
        (0, 0, "fail"), (1e-17, 1e-17, "fail"), (1e-9, 0.1, "pass"), (0, 0.1, "inconclusive"),
        (-0.1, 0, "fail"),
    ],
)  # fmt: skip
def test_gain_of_zero_or_rounding_is_no_improvement(lower, upper, outcome):
    verdict = improvement(against_champion(lower=lower, upper=upper), minimum_gain=0)
    assert verdict.outcome == outcome
    assert "more than 0 required" in verdict.reason


@pytest.mark.parametrize("units", [3, 14])
def test_worse_candidate_is_refused_unless_declared(units):
    evidence = against_champion(lower=-18.3, upper=13.3, units=units)
    refused = improvement(evidence, minimum_gain=0.5)
    assert (refused.outcome, "worse than the champion" in refused.reason) == ("fail", True)
    assert improvement(evidence, minimum_gain=0.5, worse="ask").outcome == "inconclusive"
    certain = against_champion(lower=-18.3, upper=-1.3)
    assert improvement(certain, minimum_gain=0.5, worse="ask").outcome == "fail"


@given(scale=st.floats(1e-290, 1e290), sign=st.sampled_from([-1, 1]), required=st.sampled_from([0.0, 0.5]))
def test_improvement_is_the_same_in_every_scale(scale, sign, required):
    evidence = against_champion(lower=sign * scale, upper=sign * 2 * scale)
    # A metric without an upper bound.
    gains = tuple(replace(gain, metric="mae") for gain in evidence.champion.gains)
    metrics = {"train": {"mae": scale}, "test": {"mae": scale}}
    champion = evidence.champion.model_copy(update={"metrics": {"mae": 2 * scale}, "gains": gains})
    evidence = evidence.model_copy(update={"metrics": metrics, "champion": champion})
    outcome = improvement(evidence, "mae", minimum_gain=required * scale).outcome
    assert outcome == ("pass" if sign > 0 else "fail")


@given(gain=st.floats(-1e300, 1e300), required=st.floats(-1e300, 1e300))
def test_no_gain_that_is_required_is_below_zero(gain, required):
    if reaches(gain, required):
        assert gain >= required
        assert gain > 0 or required < 0
    else:
        assert gain < required or (gain <= 0 <= required)
    assert reaches(math.nextafter(0.0, 1.0), 0.0)


def test_undefined_metric_is_explained():
    evidence = EVIDENCE.model_copy(update={"undefined": {"test": {"average_precision": "none is late"}}})
    gate = ThresholdGate(Threshold(metric="average_precision", minimum=0.1), USE_CASE)
    assert "undefined on the test rows: none is late" in gate.judge(evidence).reason


# The margin is 2 % of the champion's log loss of 0.5.
@pytest.mark.parametrize(
    ("lower", "upper", "units", "outcome"),
    [
        (0.01, 0.03, 14, "pass"), (0.0, 0.0, 14, "pass"), (-0.009, 0.03, 14, "pass"),
        (-0.009, 0.001, 14, "pass"), (-0.009, -0.001, 14, "pass"), (-0.011, 0.03, 14, "inconclusive"),
        (-0.02, 0.01, 14, "inconclusive"), (-0.03, 0.009, 14, "fail"), (-0.011, -0.001, 14, "fail"),
        (-0.03, -0.02, 14, "fail"), (0.0, 0.0, 4, "inconclusive"), (-0.011, -0.001, 4, "inconclusive"),
        (-0.02, -0.01, 4, "fail"),
    ],
)  # fmt: skip
def test_candidate_may_be_as_good_as_the_champion(lower, upper, units, outcome):
    evidence = against_champion(lower=lower, upper=upper, units=units, confidence=0.9)
    verdict = NonInferiorityGate(NonInferiority(metric="log_loss"), USE_CASE).judge(evidence)
    assert verdict.outcome == outcome, verdict.reason
    assert verdict.figures["margin"] == pytest.approx(0.01)


def test_first_model_is_not_inferior():
    assert NonInferiorityGate(NonInferiority(metric="log_loss"), USE_CASE).judge(EVIDENCE).outcome == "pass"


def test_interval_of_one_test_day_is_that_of_its_rows(verdict_of):
    gate = Threshold(metric="roc_auc", minimum=0.5)
    verdict = verdict_of(gate, rows=lambda frame: frame[frame["_airworthy_day"] <= "2013-02-11"])
    assert verdict.figures["lower"] < verdict.figures["value"] < verdict.figures["upper"]
    assert "over rows of 1 test days" in verdict.reason
