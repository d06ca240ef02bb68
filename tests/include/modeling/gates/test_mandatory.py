from __future__ import annotations

import numpy as np
import pytest

from include.declarations import Gate
from include.modeling.evaluation.evidence import Measurement
from include.modeling.gates import MANDATORY
from include.modeling.gates.mandatory import (
    PARITY_ROWS,
    DeterminationGate,
    OverlapGate,
    PredictionRangeGate,
)
from include.use_cases.air_time import USE_CASE as AIR_TIME
from tests.include.modeling.gates.conftest import (
    EVIDENCE,
    against_champion,
    parity_predictions,
    process_measurement,
    verdicts_of,
)


def not_compared(overlap):
    """Return evidence against a champion that cannot be compared."""
    evidence = against_champion(overlap=overlap)
    champion = evidence.champion.model_copy(update={"problem": "it predicts something else", "gains": ()})
    return evidence.model_copy(update={"champion": champion})


def judge_parity(**changes):
    verdicts = {verdict.gate: verdict for verdict in verdicts_of((), **changes)}
    return verdicts["parity"]


def test_parity_of_equal_predictions_passes():
    verdict = judge_parity(isolated=process_measurement(parity_predictions()))
    assert (verdict.outcome, f"on {PARITY_ROWS} test rows" in verdict.reason) == ("pass", True)


@pytest.mark.parametrize(
    "change", [lambda p: p + 1e-6, lambda p: p[:-1], lambda p: p * np.nan], ids=["other", "fewer", "none"]
)
def test_parity_of_different_predictions_fails(change):
    assert (
        judge_parity(isolated=process_measurement(change(np.asarray(parity_predictions())))).outcome == "fail"
    )


def test_parity_without_an_isolated_process_fails():
    verdict = judge_parity()
    assert (verdict.outcome, verdict.reason) == (
        "fail",
        "could not be judged: no isolated process was started",
    )


def test_golden_rows_that_raise_fail_only_their_gate():
    verdicts = {
        verdict.gate: verdict
        for verdict in verdicts_of((), isolated=process_measurement(parity_predictions()))
    }
    assert (verdicts["golden"].outcome, verdicts["parity"].outcome) == ("fail", "pass")
    assert "the prediction of the golden rows failed: " in verdicts["golden"].reason


@pytest.mark.parametrize(
    ("evidence", "outcome"),
    [
        (EVIDENCE, "pass"),
        (against_champion(), "pass"),
        (EVIDENCE.model_copy(update={"overlap": 1}), "fail"),
        (against_champion(overlap=1), "fail"),
        (against_champion(overlap=None), "inconclusive"),
        (not_compared(overlap=1), "pass"),
        (not_compared(overlap=None), "pass"),
    ],
    ids=[
        "first model", "neither", "own row", "champion's row", "champion's rows unknown", "not compared",
        "not compared, unknown",
    ],
)  # fmt: skip
def test_overlap_with_training_rows_blocks(evidence, outcome):
    gate = OverlapGate(Gate(kind="overlap"), AIR_TIME)
    assert gate.judge(evidence).outcome == outcome


@pytest.mark.parametrize(
    ("rows", "gap", "outcome"),
    [
        (50, 0.0, "pass"), (50, 1e-6, "pass"), (50, 2e-6, "fail"), (0, 0.0, "fail"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["golden", "parity"])
def test_predictions_of_the_package_differ_by_rounding_only(name, rows, gap, outcome):
    gate = MANDATORY[name](Gate(kind=name), AIR_TIME)
    measurement = Measurement(figures={"largest_gap": gap, "allowed": 1e-6}, rows=rows)
    evidence = EVIDENCE.model_copy(update={"measurements": {gate.key: measurement}})
    assert gate.judge(evidence).outcome == outcome


@pytest.mark.parametrize(
    ("predictions", "outcome"),
    [((0.0, 1000.0), "pass"), ((-0.1, 5.0), "fail"), ((5.0, 1000.1), "fail")],
)
def test_predictions_stay_in_the_declared_range(predictions, outcome):
    gate = PredictionRangeGate(Gate(kind="prediction_range"), AIR_TIME)
    verdict = gate.judge(EVIDENCE.model_copy(update={"prediction_range": predictions}))
    assert verdict.outcome == outcome
    lowest, highest = (f"{prediction:.9g}" for prediction in predictions)
    assert verdict.reason == f"predictions lie in {lowest} to {highest}; 0 to 1000 is declared"


@pytest.mark.parametrize(("column", "outcome"), [(None, "pass"), ("temp", "fail")], ids=["none", "label"])
def test_determination_names_the_feature_of_the_label(column, outcome):
    def with_label(frame):
        return frame if column is None else frame.assign(**{column: frame["_airworthy_target"] * 2.0})

    verdicts = {verdict.gate: verdict for verdict in verdicts_of((), rows=with_label)}
    verdict = verdicts["determination"]
    assert verdict.outcome == outcome
    finding = "no feature determines the label" if column is None else "temp determines it: each of 2 values"
    assert finding in verdict.reason
    assert verdict.figures["rows"] > 1_000


def test_determination_states_the_reasons_of_exceptions():
    use_case = AIR_TIME.model_copy(update={"allowed_determinants": {"dest": "It is known by contract."}})
    verdict = DeterminationGate(Gate(kind="determination"), use_case).judge(EVIDENCE)
    assert (verdict.outcome, verdict.gate) == ("pass", "determination")
    assert "dest (It is known by contract.)" in verdict.reason
