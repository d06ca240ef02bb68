"""Costs of predictions in the owner's currency, and the decision rule that costs least."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.declarations.costs import is_path
from include.errors import DataError
from include.import_paths import import_function
from include.inference.decisions import DecisionRule
from include.modeling.evaluation.estimator_errors import estimator_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.declarations import AnyCost, DecisionCost, UseCase
    from include.declarations.costs import Amount, ClassCost
    from include.modeling.evaluation.bootstrap import Values

# Where no cost of a wrong decision is declared.
DEFAULT_THRESHOLD = 0.5
PER_ROWS = 1_000


def row_amounts(amount: Amount, rows: pd.DataFrame | None, n_rows: int) -> Values:
    """
    Return an amount for each row, shape (n,).

    Raises
    ------
    DataError
        If the column or function gives something else than one finite number from 0 for each row.
    ModelError
        If the function raises.
    """
    if not isinstance(amount, str):
        return np.full(n_rows, amount, dtype=np.float64)
    if rows is None:
        raise DataError(f"cost: {amount} differs by row, and the rows are not given")
    if is_path(amount):
        function = import_function(amount, "cost")
        with estimator_errors(f"cost: {amount}", remedy="Correct the function."):
            values = np.asarray(function(rows), dtype=np.float64)
    else:
        values = pd.to_numeric(rows[amount], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    if values.shape != (n_rows,):
        raise DataError(f"cost: {amount} returns the shape {values.shape} for {n_rows} rows")
    n_invalid = int(np.count_nonzero(~(np.isfinite(values) & (values >= 0))))
    if n_invalid:
        raise DataError(
            f"cost: {amount} is missing, infinite or below 0 in {n_invalid} of {n_rows} rows. Correct the "
            "column or function, or use another amount."
        )
    return values


def row_costs(
    cost: AnyCost,
    target: Values,
    predictions: Values,
    rule: DecisionRule | float | None,
    rows: pd.DataFrame | None = None,
    class_names: Sequence[str] = (),
) -> Values:
    """
    Return the cost of each row, shape (n,); benefits are negative costs.

    Parameters
    ----------
    cost : AnyCost
    target : array of float, shape (n,)
    predictions : array of float, shape (n,) or (n, n_classes)
    rule : DecisionRule, float or None
        Rule or threshold of the decisions; None for `DEFAULT_THRESHOLD`, unused by an error cost.
    rows : DataFrame, shape (n, n_columns), or None
        Rows with the columns of amounts that differ by row.
    class_names : sequence of str
        Classes of a multiclass task, by their codes.
    """
    if cost.kind == "error":
        gap = predictions - target
        over = row_amounts(cost.over, rows, len(target))
        under = row_amounts(cost.under, rows, len(target))
        return np.where(gap > 0, gap * over, -gap * under)
    if not isinstance(rule, DecisionRule):
        rule = DecisionRule(DEFAULT_THRESHOLD if rule is None else rule)
    by_decision = decision_costs(cost, target, rows, class_names)
    return np.take_along_axis(by_decision, rule.decide(predictions)[:, None], axis=1)[:, 0]


def decision_costs(
    cost: DecisionCost | ClassCost,
    target: Values,
    rows: pd.DataFrame | None,
    class_names: Sequence[str] = (),
) -> Values:
    """Return the cost of each row under each decision, shape (n, 2) or (n, n_classes)."""
    if cost.kind == "decision":
        acted, passed = _acted_and_passed(cost, target, rows)
        return np.column_stack([passed, acted])
    matrix = np.zeros((len(target), len(class_names)))
    for code, actual in enumerate(class_names):
        is_actual = target == code
        for column, decided in enumerate(class_names):
            amounts = row_amounts(cost.amount(actual, decided), rows, len(target))
            matrix[is_actual, column] = amounts[is_actual]
    return matrix


def costs_without_model(
    cost: AnyCost, target: Values, *, train: Values, selection: Values,
    rows: pd.DataFrame | None = None, selection_rows: pd.DataFrame | None = None,
    class_names: Sequence[str] = (),
) -> Values:  # fmt: skip
    """
    Return the cost of each row without any forecast, shape (n,).

    Decisions are the same for all rows: what is cheapest for the targets `selection`. Of numbers, the median
    of the targets `train` is expected.
    """
    if cost.kind == "error":
        return row_costs(cost, target, np.full(len(target), np.median(train)), None, rows)
    cheapest = int(decision_costs(cost, selection, selection_rows, class_names).mean(axis=0).argmin())
    return np.asarray(decision_costs(cost, target, rows, class_names)[:, cheapest])


def choose_rule(
    use_case: UseCase, target: Values, predictions: Values, rows: pd.DataFrame | None = None
) -> DecisionRule | None:
    """
    Return the cheapest rule on these rows; None without a cost of decisions.

    Of several classes, the rule is the mean cost of each decision for the rows of each actual class.
    """
    cost = use_case.cost
    if cost is None or cost.kind == "error":
        return None
    if cost.kind == "decision":
        return DecisionRule(best_threshold(cost, target, predictions, rows))
    names = use_case.class_names
    means = []
    for code, actual in enumerate(names):
        is_actual = target == code
        # Of a class that these rows lack, the mean of all rows is taken.
        counted = is_actual if is_actual.any() else np.ones(len(target), dtype=bool)
        amounts = [row_amounts(cost.amount(actual, decided), rows, len(target)) for decided in names]
        means.append(tuple(float(values[counted].mean()) for values in amounts))
    return DecisionRule(costs=tuple(means))


def best_threshold(
    cost: DecisionCost, target: Values, predictions: Values, rows: pd.DataFrame | None = None
) -> float:
    """Return the cheapest threshold on these rows; above all predictions if acting never pays."""
    thresholds, totals = _total_costs(cost, target, predictions, rows)
    return float(thresholds[np.argmin(totals)])


def cost_curve(
    cost: DecisionCost, target: Values, predictions: Values, rows: pd.DataFrame | None = None
) -> tuple[Values, Values]:
    """Return every distinct threshold, falling, and the cost per `PER_ROWS` rows at each."""
    thresholds, totals = _total_costs(cost, target, predictions, rows)
    return thresholds, totals / len(target) * PER_ROWS


def _total_costs(
    cost: DecisionCost, target: Values, predictions: Values, rows: pd.DataFrame | None
) -> tuple[Values, Values]:
    order = np.argsort(-predictions, kind="stable")
    ranked = predictions[order]
    acted, passed = (values[order] for values in _acted_and_passed(cost, target, rows))
    totals = np.concatenate([[passed.sum()], passed.sum() + np.cumsum(acted - passed)])
    # Equal predictions are acted on together: only the last of them is a threshold.
    last_positions = np.append(np.flatnonzero(np.diff(ranked) != 0), len(ranked) - 1)
    above_all = float(np.nextafter(ranked[0], np.inf))
    thresholds = np.concatenate([[above_all], ranked[last_positions]])
    return thresholds, totals[np.append(0, last_positions + 1)]


def _acted_and_passed(cost: DecisionCost, target: Values, rows: pd.DataFrame | None) -> tuple[Values, Values]:
    """Return the cost of each row if it is acted on, and if it is not."""
    amounts: dict[str, Any] = {
        name: row_amounts(amount, rows, len(target)) for name, amount in cost.amounts.items()
    }
    is_positive = target == 1
    acted = np.where(is_positive, -amounts["benefit_true_positive"], amounts["false_positive"])
    passed = np.where(is_positive, amounts["false_negative"], -amounts["benefit_true_negative"])
    return acted, passed
