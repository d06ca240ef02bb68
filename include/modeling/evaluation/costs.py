"""What predictions cost in the owner's currency, and from which probability on it pays to act."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from include.declarations import AnyCost, DecisionCost
    from include.modeling.evaluation.bootstrap import Values

DEFAULT_THRESHOLD = 0.5  # the threshold where nobody said what a wrong decision costs
PER_ROWS = 1_000


def cost_of(cost: AnyCost, target: Values, predictions: Values, threshold: float | None) -> Values:
    """Return what each row costs, benefits counting as negative costs."""
    if cost.kind == "error":
        gap = predictions - target
        return np.where(gap > 0, gap * cost.over, -gap * cost.under)
    acted, passed = _both(cost, target)
    return np.where(predictions >= (DEFAULT_THRESHOLD if threshold is None else threshold), acted, passed)


def best_threshold(cost: DecisionCost, target: Values, predictions: Values) -> float:
    """Return the probability from which on acting cost least on these rows, above all of them if never."""
    thresholds, totals = _totals(cost, target, predictions)
    return float(thresholds[np.argmin(totals)])


def curve(cost: DecisionCost, target: Values, predictions: Values) -> tuple[Values, Values]:
    """Return every threshold that makes a difference, falling, and the cost per thousand rows at each."""
    thresholds, totals = _totals(cost, target, predictions)
    return thresholds, totals / len(target) * PER_ROWS


def _totals(cost: DecisionCost, target: Values, predictions: Values) -> tuple[Values, Values]:
    order = np.argsort(-predictions, kind="stable")
    ranked = predictions[order]
    acted, passed = _both(cost, target[order])
    totals = np.concatenate([[passed.sum()], passed.sum() + np.cumsum(acted - passed)])
    ends = np.append(np.flatnonzero(np.diff(ranked) != 0), len(ranked) - 1)
    above_all = float(np.nextafter(ranked[0], np.inf))
    return np.concatenate([[above_all], ranked[ends]]), totals[np.append(0, ends + 1)]


def _both(cost: DecisionCost, target: Values) -> tuple[Values, Values]:
    """Return what each row costs if it is acted on, and if not."""
    positive = target == 1
    acted = np.where(positive, -cost.benefit_true_positive, cost.false_positive)
    passed = np.where(positive, cost.false_negative, -cost.benefit_true_negative)
    return acted, passed
