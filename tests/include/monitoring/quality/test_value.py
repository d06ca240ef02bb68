from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from include.data.snapshots.target_encoding import TARGET as TARGET_COLUMN
from include.declarations import DecisionCost, ErrorCost
from include.inference.decisions import DecisionRule
from include.modeling.evaluation.bootstrap import UnitBootstrap
from include.monitoring.quality.value import measure_value

ROWS = 1_000
TARGET = np.tile([1.0, 0.0, 0.0, 0.0], ROWS // 4)
COST = DecisionCost(currency="USD", false_positive=15, false_negative=60)
RULE = DecisionRule(0.5)


def value(predictions, cost=COST, rule=RULE, rows=None):
    use_case = SimpleNamespace(cost=cost, class_names=("no", "yes"))
    units = UnitBootstrap.of_rows(ROWS)
    rows = pd.DataFrame(index=range(ROWS)) if rows is None else rows
    trained = rows.assign(**{TARGET_COLUMN: TARGET})
    return measure_value(use_case, TARGET, predictions, trained=trained, rule=rule, units=units, rows=rows)


def test_right_decisions_save_what_no_model_costs():
    # Acting on each row costs 0.75 * 15, on none 0.25 * 60.
    figures = value(TARGET)
    assert (figures["currency"], figures["model"], figures["without"]) == ("USD", 0, 11_250)
    assert (figures["saved"], figures["total"], figures["return"]) == (11_250, 11_250, 1)
    assert figures["lower"] < figures["saved"] < figures["upper"]


def test_wrong_decisions_lose_money():
    figures = value(1 - TARGET)
    assert figures["saved"] == pytest.approx(11_250 - 26_250)
    assert figures["upper"] < 0


def test_error_costs_need_no_rule():
    figures = value(TARGET, ErrorCost(currency="EUR", over=1, under=2), rule=None)
    assert (figures["model"], figures["without"]) == (0, 500)


def test_amount_of_a_column_is_read_from_the_rows():
    cost = DecisionCost(currency="USD", false_positive="fee", false_negative=60)
    assert value(TARGET, cost, rows=pd.DataFrame({"fee": np.full(ROWS, 15.0)}))["without"] == 11_250
    assert "cannot be read" in value(TARGET, cost)["reason"]


@pytest.mark.parametrize(("cost", "rule", "figures"), [(None, RULE, 0), (COST, None, 1)])
def test_value_without_a_cost_or_a_rule_is_not_known(cost, rule, figures):
    assert len(value(TARGET, cost, rule)) == figures
