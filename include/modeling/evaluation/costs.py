"""Costs of predictions in the owner's currency, and the threshold from which acting pays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from include.declarations import AnyCost, DecisionCost
    from include.modeling.evaluation.bootstrap import Values

# Where no cost of a wrong decision is declared.
DEFAULT_THRESHOLD = 0.5
PER_ROWS = 1_000


def row_costs(cost: AnyCost, target: Values, predictions: Values, threshold: float | None) -> Values:
    """
    Return the cost of each row, shape (n,); benefits are negative costs.

    Parameters
    ----------
    cost : AnyCost
    target, predictions : array of float, shape (n,)
    threshold : float or None
        Probability from which a row is acted on; None for `DEFAULT_THRESHOLD`, unused by an error cost.
    """
    if cost.kind == "error":
        gap = predictions - target
        return np.where(gap > 0, gap * cost.over, -gap * cost.under)
    acted, passed = _decision_costs(cost, target)
    return np.where(predictions >= (DEFAULT_THRESHOLD if threshold is None else threshold), acted, passed)


def costs_without_model(cost: AnyCost, target: Values, *, train: Values, selection: Values) -> Values:
    """
    Return the cost of each row without any forecast, shape (n,).

    Decisions are the same for all rows: to act or not, what is cheaper for the targets `selection`. Of
    numbers, the median of the targets `train` is expected.
    """
    if cost.kind == "error":
        return row_costs(cost, target, np.full(len(target), np.median(train)), None)
    costs = {}
    for probability in (1.0, 0.0):
        same = np.full(len(selection), probability)
        costs[probability] = row_costs(cost, selection, same, None).mean()
    cheaper = min(costs, key=costs.__getitem__)
    return row_costs(cost, target, np.full(len(target), cheaper), None)


def choose_threshold(cost: AnyCost | None, target: Values, predictions: Values) -> float:
    """Return the cheapest threshold on these rows; `DEFAULT_THRESHOLD` without a cost of decisions."""
    if cost is None or cost.kind == "error":
        return DEFAULT_THRESHOLD
    return best_threshold(cost, target, predictions)


def best_threshold(cost: DecisionCost, target: Values, predictions: Values) -> float:
    """Return the cheapest threshold on these rows; above all predictions if acting never pays."""
    thresholds, totals = _total_costs(cost, target, predictions)
    return float(thresholds[np.argmin(totals)])


def cost_curve(cost: DecisionCost, target: Values, predictions: Values) -> tuple[Values, Values]:
    """Return every distinct threshold, falling, and the cost per `PER_ROWS` rows at each."""
    thresholds, totals = _total_costs(cost, target, predictions)
    return thresholds, totals / len(target) * PER_ROWS


def _total_costs(cost: DecisionCost, target: Values, predictions: Values) -> tuple[Values, Values]:
    order = np.argsort(-predictions, kind="stable")
    ranked = predictions[order]
    acted, passed = _decision_costs(cost, target[order])
    totals = np.concatenate([[passed.sum()], passed.sum() + np.cumsum(acted - passed)])
    # Equal predictions are acted on together: only the last of them is a threshold.
    last_positions = np.append(np.flatnonzero(np.diff(ranked) != 0), len(ranked) - 1)
    above_all = float(np.nextafter(ranked[0], np.inf))
    thresholds = np.concatenate([[above_all], ranked[last_positions]])
    return thresholds, totals[np.append(0, last_positions + 1)]


def _decision_costs(cost: DecisionCost, target: Values) -> tuple[Values, Values]:
    """Return the cost of each row if it is acted on, and if it is not."""
    is_positive = target == 1
    acted = np.where(is_positive, -cost.benefit_true_positive, cost.false_positive)
    passed = np.where(is_positive, cost.false_negative, -cost.benefit_true_negative)
    return acted, passed
