from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from include.data.snapshots.splits import Splits
from include.declarations import FlaggedShare, InjectedAnomalies, UseCase
from include.declarations.risk import Risk
from include.modeling.evaluation.context import build_context
from include.modeling.gates.anomalies import FlaggedShareGate, InjectedAnomaliesGate
from include.modeling.gates.runner import gates_of
from tests.include.modeling.gates.conftest import EVIDENCE, Model, packaged_model

USE_CASE = UseCase(
    name="odd", owner="a", description="d", task="anomaly", feature_view="flight_features",
    features=("score",), metric="roc_auc", contamination=0.05, prediction_range=(-1, 1),
)  # fmt: skip
N_DAYS = 20
ROWS_PER_DAY = 200


def rows(share_by_day, injected_recall=1.0):
    """Return rows whose score is the prediction: shares of each day above 0, and 100 injected rows."""
    scores = []
    days = []
    for number, share in enumerate(share_by_day):
        n_flagged = round(share * ROWS_PER_DAY)
        scores += [0.1] * n_flagged + [-0.1] * (ROWS_PER_DAY - n_flagged)
        days += [f"2013-01-{number + 1:02}"] * ROWS_PER_DAY
    target = np.zeros(len(scores) + 100)
    target[-100:] = 1
    n_found = round(injected_recall * 100)
    scores += [0.5] * n_found + [-0.5] * (100 - n_found)
    days += ["2013-01-01"] * 100
    return pd.DataFrame({"score": scores, "_airworthy_day": days, "_airworthy_target": target})


def verdict(gate_class, declared, frame, use_case=USE_CASE):
    model = Model(lambda features: features["score"], columns={"score": "double"}, task="anomaly")
    context = build_context(use_case, Splits(frame, frame, frame), packaged_model(model))
    gate = gate_class(declared, use_case)
    measured = {gate.key: gate.measure(context)}
    return gate.judge(EVIDENCE.model_copy(update={"measurements": measured}))


@pytest.mark.parametrize(("recall", "outcome"), [(1.0, "pass"), (0.5, "pass"), (0.49, "fail")])
def test_recall_of_injected_anomalies_is_bounded(recall, outcome):
    result = verdict(InjectedAnomaliesGate, InjectedAnomalies(), rows([0.05] * N_DAYS, recall))
    assert result.outcome == outcome
    assert result.figures["recall"] == recall
    assert "100 injected anomalies" in result.reason
    assert "contamination of 5.00%" in result.reason


@pytest.mark.parametrize(
    ("shares", "outcome"),
    [
        ([0.05] * N_DAYS, "pass"),
        # By chance a day has none, or thrice as many.
        ([0.05] * (N_DAYS - 1) + [0.15], "pass"),
        # Two of twenty unstable days are allowed, three are not.
        ([0.05] * (N_DAYS - 2) + [0.5] * 2, "pass"),
        ([0.05] * (N_DAYS - 3) + [0.5] * 3, "fail"),
        ([0.05] * (N_DAYS - 3) + [0.0] * 3, "pass"),
        ([0.3] * N_DAYS, "fail"),
        ([0.0] * N_DAYS, "fail"),
    ],
)
def test_flagged_share_is_as_declared_and_stable(shares, outcome):
    result = verdict(FlaggedShareGate, FlaggedShare(), rows(shares))
    assert result.outcome == outcome, result.reason
    assert result.figures["days"] == N_DAYS
    assert result.figures["highest"] == max(shares)


@pytest.mark.parametrize(("share", "outcome"), [(0.4, "pass"), (0.8, "pass"), (0.85, "fail")])
def test_large_contamination_is_limited_too(share, outcome):
    # Three times it would be more than all rows.
    often = USE_CASE.model_copy(update={"contamination": 0.4})
    assert verdict(FlaggedShareGate, FlaggedShare(), rows([share] * N_DAYS), often).outcome == outcome


def test_unstable_days_are_named():
    result = verdict(FlaggedShareGate, FlaggedShare(), rows([0.05] * (N_DAYS - 3) + [0.5] * 3))
    assert "3 of 20 days are outside: 2013-01-18, 2013-01-19, 2013-01-20" in result.reason


def test_both_gates_apply_by_default_and_may_be_declared():
    names = [gate.declared.name for gate in gates_of(USE_CASE)]
    assert {"injected_anomalies", "flagged_share", "golden", "parity"} <= set(names)
    assert "determination" not in names
    own = USE_CASE.model_copy(update={"gates": (InjectedAnomalies(minimum_recall=0.9),)})
    (gate,) = (gate for gate in gates_of(own) if gate.declared.name == "injected_anomalies")
    assert gate.declared.minimum_recall == 0.9


def test_standard_gates_of_a_risk_say_what_they_do_not_measure():
    risk = Risk(level="medium", impact="a storm is missed", reviewer="ann", reviewed=date(2026, 5, 3))
    names = {gate.declared.name: gate for gate in gates_of(USE_CASE.model_copy(update={"risk": risk}))}
    assert {"improvement_roc_auc", "overfitting_roc_auc", "risk"} <= names.keys()
    for name in ("calibration", "leakage"):
        assert "not for an anomaly task" in names[name].declared.reason
    assert names["robustness"].declared.maximum_flips == 0.05
