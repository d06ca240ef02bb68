from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from include.data.snapshots.target_encoding import TARGET as TARGET_COLUMN
from include.declarations import DecisionCost, ErrorCost
from include.fleet.value_rows import value_row
from include.inference.decisions import DecisionRule
from include.modeling.evaluation.bootstrap import UnitBootstrap
from include.monitoring.quality.details import measure_details
from include.monitoring.quality.maturity import DUE, LANDED
from include.monitoring.quality.value import measure_value
from include.use_cases.flight_delay import USE_CASE

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


def fee_of(rows):
    return rows["distance"] * 0.1


@pytest.mark.parametrize(("columns", "without"), [(("distance",), 11_250), ((), None)])
def test_amount_of_a_function_needs_the_logged_columns(columns, without):
    path = f"{fee_of.__module__}:fee_of"
    cost = DecisionCost(currency="USD", false_positive=path, false_negative=60, columns=columns)
    rows = pd.DataFrame({name: np.full(ROWS, 150.0) for name in columns}, index=range(ROWS))
    figures = value(TARGET, cost, rows=rows)
    assert figures.get("without") == without
    assert without or "fee_of" in figures["reason"]


def test_value_of_all_windows_has_its_sum_and_first_day():
    use_case = USE_CASE.model_copy(update={"cost": COST, "gates": ()})
    windows = [window(day) for day in (15, 8, 1)]
    reference = pd.DataFrame({TARGET_COLUMN: TARGET})
    figures = measure_details(use_case, reference, windows, position=0, rule=RULE)["value"]
    assert figures["total"] == pytest.approx(11_250)
    assert (figures["of_all"]["total"], figures["of_all"]["start"]) == (pytest.approx(33_750), "2026-01-01")
    assert figures["of_all"]["total_lower"] <= 33_750 <= figures["of_all"]["total_upper"]
    cells = value_row({"value": figures})
    assert cells[3].startswith("33,750 USD (")
    assert cells[3].endswith(", 100% of the cost without, since 2026-01-01")


def window(first_day):
    """Return joined rows of seven days, all of which were predicted rightly."""
    days = [f"2026-01-{first_day + number % 7:02}" for number in range(ROWS)]
    columns = {"_airworthy_prediction": TARGET, TARGET_COLUMN: TARGET, "_airworthy_day": days}
    return pd.DataFrame(columns | {DUE: True, LANDED: True})
