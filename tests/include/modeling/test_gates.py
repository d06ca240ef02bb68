from __future__ import annotations

import pytest

from include.declarations import Improvement, Overfitting, Threshold
from include.modeling.comparison import Gain
from include.modeling.evidence import Evidence, Rivalry
from include.modeling.gates import (
    SAME_ANSWER,
    blocked,
    improvement,
    judge,
    overfitting,
    overlap,
    parity,
    prediction_range,
    threshold,
    undecided,
)
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY

FINE = Evidence(
    metrics={"train": {"roc_auc": 0.75, "log_loss": 0.4}, "test": {"roc_auc": 0.7, "log_loss": 0.45}},
    rows={"train": 900, "test": 100},
    overlap=0,
    parity_rows=50,
    parity_gap=0.0,
    answers=(0.01, 0.9),
)


def against_champion(*, lower=0.01, upper=0.03, overlap=0, metric="log_loss", confidence=0.95, refusals=0):
    gain = Gain(metric, (lower + upper) / 2, lower, upper, confidence, 14, "bootstrap")
    champion = Rivalry(version=3, metrics={"log_loss": 0.5}, gains=(gain,), overlap=overlap)
    return FINE.model_copy(update={"champion": champion, "refusals": refusals})


@pytest.mark.parametrize(
    ("bounds", "outcome"),
    [
        ({"minimum": 0.69}, "pass"), ({"minimum": 0.7}, "pass"), ({"minimum": 0.71}, "fail"),
        ({"maximum": 0.71}, "pass"), ({"maximum": 0.7}, "pass"), ({"maximum": 0.69}, "fail"),
        ({"minimum": 0.6, "maximum": 0.8}, "pass"),
    ],
)  # fmt: skip
def test_a_threshold_includes_its_bounds(bounds, outcome):
    assert threshold(Threshold(metric="roc_auc", **bounds), FINE).outcome == outcome


def test_a_metric_that_is_undefined_fails_its_threshold():
    verdict = threshold(Threshold(metric="average_precision", minimum=0.1), FINE)
    assert (verdict.outcome, "undefined" in verdict.reason) == ("fail", True)


@pytest.mark.parametrize(
    ("lower", "upper", "outcome"),
    [
        (0.021, 0.03, "pass"), (0.02, 0.03, "pass"), (0.019, 0.03, "inconclusive"),
        (0.01, 0.02, "inconclusive"), (0.01, 0.0199, "fail"), (-0.03, -0.01, "fail"),
    ],
)  # fmt: skip
def test_an_improvement_must_be_sure_to_reach_the_minimum_gain(lower, upper, outcome):
    gate = Improvement(metric="log_loss", minimum_gain=0.02)
    assert improvement(gate, against_champion(lower=lower, upper=upper)).outcome == outcome


@pytest.mark.parametrize(
    ("refusals", "outcome"), [(0, "pass"), (4, "pass"), (5, "inconclusive"), (30, "fail")]
)
def test_every_refused_challenger_makes_the_next_ones_bar_higher(refusals, outcome):
    gate = Improvement(metric="log_loss", minimum_gain=0.002, price_per_attempt=0.002)
    assert improvement(gate, against_champion(refusals=refusals)).outcome == outcome


def test_the_first_model_needs_to_beat_nobody():
    verdict = improvement(Improvement(metric="log_loss", minimum_gain=1), FINE)
    assert (verdict.outcome, verdict.reason) == ("pass", "there is no champion yet")


@pytest.mark.parametrize("other", [{"metric": "brier"}, {"confidence": 0.8}])
def test_what_was_not_compared_as_asked_is_no_improvement(other):
    assert improvement(Improvement(metric="log_loss"), against_champion(**other)).outcome == "fail"


@pytest.mark.parametrize(
    ("metric", "maximum_gap", "outcome"),
    [
        ("roc_auc", 0.06, "pass"), ("roc_auc", 0.75 - 0.7, "pass"), ("roc_auc", 0.04, "fail"),
        ("log_loss", 0.06, "pass"), ("log_loss", 0.45 - 0.4, "pass"), ("log_loss", 0.04, "fail"),
        ("brier", 0.5, "fail"),
    ],
)  # fmt: skip
def test_a_model_may_be_better_in_training_by_the_gap_and_no_more(metric, maximum_gap, outcome):
    assert overfitting(Overfitting(metric=metric, maximum_gap=maximum_gap), FINE).outcome == outcome


def test_being_better_in_the_test_than_in_training_is_no_overfitting():
    swapped = {"train": FINE.metrics["test"], "test": FINE.metrics["train"]}
    gate = Overfitting(metric="log_loss", maximum_gap=0.001)
    assert overfitting(gate, FINE.model_copy(update={"metrics": swapped})).outcome == "pass"


@pytest.mark.parametrize(
    ("evidence", "outcome"),
    [
        (FINE, "pass"),
        (against_champion(), "pass"),
        (FINE.model_copy(update={"overlap": 1}), "fail"),
        (against_champion(overlap=1), "fail"),
        (against_champion(overlap=None), "inconclusive"),
    ],
    ids=["first model", "neither", "own row", "champion's row", "champion's rows unknown"],
)
def test_a_test_row_that_a_model_was_trained_on_blocks(evidence, outcome):
    assert overlap(evidence).outcome == outcome


@pytest.mark.parametrize(
    ("rows", "gap", "outcome"),
    [(50, 0.0, "pass"), (50, SAME_ANSWER, "pass"), (50, 2 * SAME_ANSWER, "fail"), (0, 0.0, "fail")],
)
def test_the_packaged_model_must_answer_as_in_training(rows, gap, outcome):
    assert parity(FINE.model_copy(update={"parity_rows": rows, "parity_gap": gap})).outcome == outcome


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [((0.0, 1000.0), "pass"), ((-0.1, 5.0), "fail"), ((5.0, 1000.1), "fail")],
)
def test_predictions_must_stay_in_the_declared_range(answers, outcome):
    assert prediction_range(AIR_TIME, FINE.model_copy(update={"answers": answers})).outcome == outcome


def test_every_declared_gate_speaks_and_so_do_those_that_always_stand():
    assert [verdict.gate for verdict in judge(FLIGHT_DELAY, FINE)] == [
        "threshold_roc_auc", "improvement_log_loss", "overfitting_roc_auc",
        "overlap", "parity", "prediction_range",
    ]  # fmt: skip


def test_no_gate_hides_another():
    bad = FINE.model_copy(update={"overlap": 3, "parity_gap": 1.0, "answers": (-1.0, 2.0)})
    assert [verdict.gate for verdict in blocked(judge(FLIGHT_DELAY, bad))] == [
        "overlap",
        "parity",
        "prediction_range",
    ]


def test_a_warning_does_not_block():
    overfitted = FINE.model_copy(
        update={"metrics": FINE.metrics | {"train": {"roc_auc": 1.0, "log_loss": 0.0}}}
    )
    verdicts = judge(FLIGHT_DELAY, overfitted)
    assert [verdict.gate for verdict in verdicts if verdict.outcome == "fail"] == ["overfitting_roc_auc"]
    assert not blocked(verdicts)


def test_an_open_question_is_for_a_person():
    unsure = judge(FLIGHT_DELAY, against_champion(lower=0.0, upper=0.1))
    assert [verdict.gate for verdict in undecided(unsure)] == ["improvement_log_loss"]
    assert not blocked(unsure)


def test_a_good_candidate_leaves_no_question():
    verdicts = judge(FLIGHT_DELAY, against_champion())
    assert (blocked(verdicts), undecided(verdicts)) == ((), ())


def test_evidence_travels_as_json():
    evidence = against_champion(overlap=None)
    assert Evidence.model_validate_json(evidence.model_dump_json()) == evidence
