from __future__ import annotations

import pytest

from include.declarations import Improvement, Overfitting, SignatureCompatibility, Threshold
from include.errors import DataError, ServiceUnavailable
from include.modeling.evaluation.comparison import Gain
from include.modeling.evaluation.evidence import ChampionComparison, Evidence, Measurement
from include.modeling.gates import SAME_ANSWER, failed, inconclusive, judge_gates, runner
from include.modeling.gates.mandatory import overlap, prediction_range
from include.modeling.gates.package import golden, parity
from include.modeling.gates.performance import improvement, overfitting, threshold
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY

SAME = Measurement(figures={"largest_gap": 0.0}, rows=50)
ONLY = FLIGHT_DELAY.model_copy(
    update={
        "gates": (
            Threshold(metric="roc_auc", minimum=0.62),
            Improvement(metric="log_loss", minimum_gain=0.002, penalty_per_attempt=0.0005),
            Overfitting(metric="roc_auc", maximum_gap=0.15, severity="warn"),
        )
    }
)
FINE = Evidence(
    metrics={"train": {"roc_auc": 0.75, "log_loss": 0.4}, "test": {"roc_auc": 0.7, "log_loss": 0.45}},
    rows={"train": 900, "test": 100},
    overlap=0,
    prediction_range=(0.01, 0.9),
    days=14,
    measurements={"golden": SAME, "parity": SAME, "signature": Measurement()},
)


def against_champion(
    *, lower=0.01, upper=0.03, overlap=0, metric="log_loss", confidence=0.95, refusals=0, days=14
):
    gain = Gain(metric, (lower + upper) / 2, lower, upper, confidence, days, "bootstrap")
    champion = ChampionComparison(version=3, metrics={"log_loss": 0.5}, gains=(gain,), overlap=overlap)
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
    gate = Improvement(metric="log_loss", minimum_gain=0.002, penalty_per_attempt=0.002)
    assert improvement(gate, against_champion(refusals=refusals)).outcome == outcome


def test_the_bar_is_shown_with_what_raised_it():
    gate = Improvement(metric="log_loss", minimum_gain=0.002, penalty_per_attempt=0.002)
    found = improvement(gate, against_champion(refusals=3))
    assert (found.figures["required"], found.figures["refusals"]) == (0.008, 3)
    assert "0.002 for each failed attempt since the last promotion: 3" in found.reason


@pytest.mark.parametrize(("days", "outcome"), [(4, "inconclusive"), (5, "pass")])
def test_too_few_days_cannot_tell(days, outcome):
    gate = Improvement(metric="log_loss", minimum_gain=0.002)
    assert improvement(gate, against_champion(days=days)).outcome == outcome


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


def measured(**changes):
    return FINE.model_copy(update={"measured": {**FINE.measurements, **changes}})


@pytest.mark.parametrize(
    ("rows", "gap", "outcome"),
    [(50, 0.0, "pass"), (50, SAME_ANSWER, "pass"), (50, 2 * SAME_ANSWER, "fail"), (0, 0.0, "fail")],
)
@pytest.mark.parametrize("gate", [golden, parity])
def test_the_packaged_model_must_answer_as_in_training(gate, rows, gap, outcome):
    found = Measurement(figures={"largest_gap": gap}, rows=rows)
    assert gate(measured(**{gate.__name__: found})).outcome == outcome


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [((0.0, 1000.0), "pass"), ((-0.1, 5.0), "fail"), ((5.0, 1000.1), "fail")],
)
def test_predictions_must_stay_in_the_declared_range(answers, outcome):
    found = prediction_range(AIR_TIME, FINE.model_copy(update={"answers": answers}))
    assert found.outcome == outcome
    low, high = (f"{answer:.4g}" for answer in answers)
    assert found.reason == f"predictions lie in {low} to {high}; 0 to 1000 is declared"


STANDING = ["overlap", "golden", "parity", "prediction_range", "signature"]


def test_every_declared_gate_speaks_and_so_do_those_that_always_stand():
    declared = ["threshold_roc_auc", "improvement_log_loss", "overfitting_roc_auc"]
    assert [verdict.gate for verdict in judge_gates(ONLY, FINE)] == [*declared, *STANDING]


def test_a_declared_signature_takes_the_place_of_the_one_that_always_stands():
    declared = ONLY.model_copy(update={"gates": (SignatureCompatibility(severity="warn"),)})
    found = {verdict.gate: verdict.severity for verdict in judge_gates(declared, FINE)}
    assert found == dict.fromkeys(STANDING, "block") | {"signature": "warn"}


def test_no_gate_hides_another():
    off = Measurement(figures={"largest_gap": 1.0}, rows=50)
    broken = Measurement(figures={"champion": 3}, items=({"column": "hour", "why": "is asked for now"},))
    bad = measured(golden=off, parity=off, signature=broken)
    bad = bad.model_copy(update={"overlap": 3, "answers": (-1.0, 2.0)})
    assert [verdict.gate for verdict in failed(judge_gates(ONLY, bad))] == STANDING


@pytest.mark.parametrize("gate", ["golden", "parity", "signature"])
def test_a_gate_that_could_not_be_measured_fails_and_says_why_and_the_others_speak(gate):
    verdicts = judge_gates(ONLY, measured(**{gate: Measurement(problem="the disk is full")}))
    (fired,) = failed(verdicts)
    assert (fired.gate, fired.reason) == (gate, "could not be judged: the disk is full")
    assert len(verdicts) == 8


def test_what_was_never_measured_is_not_passed():
    found = judge_gates(ONLY, FINE.model_copy(update={"measured": {}}))
    reasons = {verdict.gate: verdict.reason for verdict in failed(found)}
    assert reasons.keys() == {"golden", "parity", "signature"}
    assert "declared after the evaluation" in reasons["parity"]


def raising(error):
    def look(*_):
        raise error

    return look


def test_a_mistake_in_the_code_of_a_gate_is_no_verdict_on_the_candidate(monkeypatch):
    monkeypatch.setattr(runner, "threshold", raising(ZeroDivisionError("division by zero")))
    with pytest.raises(ZeroDivisionError):
        judge_gates(ONLY, FINE)
    with pytest.raises(KeyError):
        runner._measure_safely("fairness_origin/block", raising(KeyError("origin")))


def test_what_the_data_do_not_allow_to_judge_is_that_gates_failure(monkeypatch):
    monkeypatch.setattr(runner, "threshold", raising(DataError("no rows")))
    (fired,) = failed(judge_gates(ONLY, FINE))
    assert (fired.gate, fired.reason) == ("threshold_roc_auc", "could not be judged: no rows")
    assert (
        runner._measure_safely("threshold_roc_auc/block", raising(DataError("no rows"))).problem == "no rows"
    )


@pytest.mark.parametrize(
    ("accident", "words"),
    [
        (ServiceUnavailable("MLflow is away"), "MLflow is away"),
        (MemoryError("Unable to allocate 9 GiB"), "the measurement for parity was cut short: MemoryError"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
    ids=["service", "memory", "disk"],
)
def test_an_accident_while_measuring_is_tried_again_and_not_held_against_the_candidate(accident, words):
    with pytest.raises(ServiceUnavailable, match=words):
        runner._measure_safely("parity", raising(accident))


def test_a_warning_does_not_block():
    overfitted = FINE.model_copy(
        update={"metrics": FINE.metrics | {"train": {"roc_auc": 1.0, "log_loss": 0.0}}}
    )
    verdicts = judge_gates(ONLY, overfitted)
    assert [verdict.gate for verdict in verdicts if verdict.outcome == "fail"] == ["overfitting_roc_auc"]
    assert not failed(verdicts)


def test_an_open_question_is_for_a_person():
    unsure = judge_gates(ONLY, against_champion(lower=0.0, upper=0.1))
    assert [verdict.gate for verdict in inconclusive(unsure)] == ["improvement_log_loss"]
    assert not failed(unsure)


def test_a_good_candidate_leaves_no_question():
    verdicts = judge_gates(ONLY, against_champion())
    assert (failed(verdicts), inconclusive(verdicts)) == ((), ())


def test_evidence_travels_as_json():
    evidence = against_champion(overlap=None)
    assert Evidence.model_validate_json(evidence.model_dump_json()) == evidence
