from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from include.declarations.risk import DataLikeness
from include.modeling.evaluation.context import ProductionRows
from include.modeling.gates.likeness.gate import DataLikenessGate
from tests.include.modeling.gates.conftest import COLUMNS, EVIDENCE, evaluated

DECLARED = DataLikeness(maximum_share=0.5)


@pytest.fixture(scope="module")
def candidate():
    use_case, context, _ = evaluated()
    return use_case.model_copy(update={"features": tuple(COLUMNS)}), context


def judge(candidate, production, importance=None):
    use_case, context = candidate
    rows = None if production is None else ProductionRows(production, "rows of the newest requests")
    gate = DataLikenessGate(DECLARED, use_case)
    measurement = gate.measure(replace(context, production=rows, importance=importance or {}))
    return gate.judge(EVIDENCE.model_copy(update={"measurements": {gate.key: measurement}}))


def test_without_rows_of_production_it_is_not_applicable(candidate):
    for production, reason in (
        (None, "no rows of production yet"),
        (candidate[1].test.frame[:99], "too few"),
    ):
        verdict = judge(candidate, production)
        assert verdict.outcome == "pass"
        assert verdict.reason.startswith("not applicable: ")
        assert reason in verdict.reason


def test_rows_of_the_same_kind_pass(candidate):
    verdict = judge(candidate, candidate[1].test.frame)
    assert (verdict.outcome, verdict.figures["unlike"]) == ("pass", 0)


def test_changed_feature_counts_by_its_importance(candidate):
    rows = candidate[1].test.frame
    changed = rows.assign(hour=rows["hour"] + 20, carrier="ZZ")
    important = {"hour": 0.2, "wind_speed": 0.1}
    verdict = judge(candidate, changed, important)
    assert verdict.outcome == "inconclusive"
    assert "2 are unlike" in verdict.reason
    assert "hour (1.00)" in verdict.reason
    assert "67% of the importance" in verdict.reason
    assert judge(candidate, changed, {"hour": 0.1, "wind_speed": 0.2}).outcome == "pass"
    # Without importances, each feature counts alike.
    assert judge(candidate, changed).figures["share"] == pytest.approx(2 / 9)


def test_feature_that_was_not_logged_is_left_out(candidate):
    verdict = judge(candidate, candidate[1].test.frame.drop(columns=["carrier"]))
    assert "of 8 features 0 are unlike" in verdict.reason


def test_random_samples_are_seldom_unlike(candidate):
    random = np.random.default_rng(0)
    train = candidate[1].train.frame
    alarms = 0
    for _ in range(20):
        rows = train.iloc[random.integers(0, len(train), 100)]
        noise = {name: random.permutation(rows[name]) for name in COLUMNS}
        alarms += judge(candidate, pd.DataFrame(noise)).figures["unlike"] > 0
    assert alarms <= 1
