"""Gates of a candidate that follow from the risk of its use case."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.declarations import Threshold
from include.modeling.gates import failed, inconclusive
from include.modeling.gates.robustness import perturbed_columns
from tests.include.declarations.test_risk import risk
from tests.include.modeling.gates.conftest import COLUMNS, Model, minutes, sound, verdicts_of

DECLARED = (Threshold(metric="roc_auc", minimum=0.6),)
STANDARD = {"improvement_log_loss", "overfitting_roc_auc", "calibration", "leakage", "robustness", "risk"}


def test_sound_model_passes_the_gates_of_its_risk():
    verdicts = verdicts_of(DECLARED, risk=risk("medium"))
    outcomes = {verdict.gate: verdict.outcome for verdict in verdicts}
    assert {outcomes[name] for name in STANDARD} == {"pass"}


def test_brittle_model_fails_by_its_risk():
    def brittle(frame):
        if frame["carrier"].isin(["never seen in training"]).any():
            raise ValueError("unknown carrier")
        return sound(frame)

    for level, blocks in (("low", False), ("medium", True)):
        verdicts = verdicts_of(DECLARED, brittle, risk=risk(level))
        reasons = {verdict.gate: verdict for verdict in verdicts}
        assert "an unseen carrier" in reasons["robustness"].reason
        assert ("robustness" in {verdict.gate for verdict in failed(verdicts)}) is blocks


def test_champion_itself_is_no_improvement():
    verdicts = verdicts_of(DECLARED, champion=Model(sound, dict(COLUMNS)), risk=risk("medium"))
    (verdict,) = (verdict for verdict in failed(verdicts) if verdict.gate == "improvement_log_loss")
    assert "gains +0.00000 on champion 3" in verdict.reason


@pytest.mark.parametrize(("level", "names"), [("medium", []), ("high", ["risk"])])
def test_high_risk_asks_a_person(level, names):
    def rows(frame):
        return frame

    verdicts = verdicts_of(DECLARED, rows=rows, risk=risk(level))
    assert [verdict.gate for verdict in inconclusive(verdicts)] == names


def test_reason_of_a_gate_that_is_off_is_in_its_verdict():
    off = {"calibration": "Only the order counts."}
    verdicts = {v.gate: v for v in verdicts_of(DECLARED, risk=risk("high", switched_off=off))}
    assert verdicts["calibration"].reason == "not measured: switched off: Only the order counts."
    assert (verdicts["calibration"].outcome, verdicts["calibration"].severity) == ("pass", "info")


def test_regression_has_the_gates_that_suit_it():
    verdicts = verdicts_of((Threshold(metric="mae", maximum=9),), minutes, task="regression", risk=risk())
    outcomes = {verdict.gate: verdict.outcome for verdict in verdicts}
    assert {"improvement_mae", "overfitting_r2", "robustness", "calibration"} <= outcomes.keys()
    assert "fail" not in {outcomes["robustness"], outcomes["overfitting_r2"]}


def refusing(verdicts):
    """Return the gates that refuse or ask; these models are not packaged, as golden rows and parity need."""
    gates = {verdict.gate for verdict in (*failed(verdicts), *inconclusive(verdicts))}
    return gates - {"golden", "parity"}


def test_first_model_without_a_risk_passes_without_a_question():
    def few(frame):
        return frame[frame["flight_id"].str.endswith(("0", "5"))]

    for function, changes in (
        (sound, {}),
        (minutes, {"task": "regression", "prediction_range": (0, 9000)}),
    ):
        metric = Threshold(metric="mae", maximum=99) if changes else DECLARED[0]
        verdicts = verdicts_of((metric,), function, rows=few, **changes)
        assert refusing(verdicts) == set()
        assert {"leakage", "robustness", "calibration", "data_likeness"} <= {v.gate for v in verdicts}


def test_model_without_a_risk_that_is_worse_or_breaks_is_refused():
    def strict(frame):
        if frame["carrier"].isin(["never seen in training"]).any():
            raise ValueError("unknown carrier")
        return sound(frame)

    assert refusing(verdicts_of(DECLARED, strict)) == {"robustness"}
    worse = verdicts_of(
        (Threshold(metric="roc_auc", minimum=0.5),),
        lambda frame: (sound(frame) + 0.5) / 2,
        champion=Model(sound, dict(COLUMNS)),
    )
    assert refusing(worse) == {"non_inferiority_log_loss"}
    same = verdicts_of(DECLARED, champion=Model(sound, dict(COLUMNS)))
    assert refusing(same) == set()


def test_jumpy_regression_fails_by_its_risk():
    def jumpy(frame):
        # A part of a mile changes the prediction by hours.
        return minutes(frame) + 500 * ((frame["distance"] * 50).round() % 2)

    gates = (Threshold(metric="mae", maximum=900),)
    limits = {"task": "regression", "prediction_range": (0, 9000), "risk": risk()}
    for function, outcome in ((jumpy, "fail"), (minutes, "pass")):
        verdicts = {verdict.gate: verdict for verdict in verdicts_of(gates, function, **limits)}
        assert verdicts["robustness"].outcome == outcome, verdicts["robustness"].reason
        assert ("noise in distance flips" in verdicts["robustness"].reason) is (outcome == "fail")


def test_perturbations_follow_from_the_training_rows():
    train = pd.DataFrame(
        {"text": ["a", "b", None], "number": [1.0, np.nan, 3.0], "whole": [1, 2, 3], "same": [2.0, 2.0, 2.0]}
    )
    columns = perturbed_columns(train)
    assert (columns["missing"], columns["unseen"]) == (("text", "number"), ("text",))
    assert list(columns["noise"]) == ["number"]
