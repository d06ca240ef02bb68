"""Business value of a window: what the model cost and saved, in the owner's currency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from include.data.snapshots.target_encoding import TARGET
from include.errors import AirworthyError
from include.modeling.evaluation.costs import PER_ROWS, costs_without_model, row_costs
from include.modeling.evaluation.metrics.resampled import resample_mean

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from include.declarations import UseCase
    from include.inference.decisions import DecisionRule
    from include.modeling.evaluation.bootstrap import UnitBootstrap

    Values = npt.NDArray[np.float64]

CONFIDENCE = 0.975


def measure_value(
    use_case: UseCase,
    target: Values,
    predictions: Values,
    *,
    trained: pd.DataFrame,
    rule: DecisionRule | None,
    units: UnitBootstrap,
    rows: pd.DataFrame,
) -> dict[str, Any]:
    """
    Return what the predictions of a window saved against doing without a model; empty without a cost.

    Without a model, the decision that is cheapest for the training labels is made for all rows; of numbers,
    their median is expected.

    Parameters
    ----------
    target, predictions
        Rows of the window, (n,) and (n,) or (n, n_classes).
    trained
        Training rows with `TARGET`, (m, l).
    rule
        The champion's rule of decisions; None if it is not known or the cost is that of an error.
    units
        What is resampled: days or rows of the window.
    rows
        Rows with the columns that amounts need, (n, k).

    Returns
    -------
    dict
        `currency`; per 1,000 rows `model`, `without` and `saved` with `lower` and `upper` (95 %); `total`,
        what all rows saved, with `total_lower` and `total_upper`; `return`, the saved share of the cost
        without a model. Where the amounts cannot be read, `reason`.
    """
    cost = use_case.cost
    if cost is None or not len(target):
        return {}
    if cost.kind != "error" and rule is None:
        return {"reason": "the rule of the champion's decisions is not known"}
    names = use_case.class_names
    labels = trained[TARGET].to_numpy(dtype=np.float64)
    past: Any = {"train": labels, "selection": labels, "selection_rows": trained}
    try:
        model = row_costs(cost, target, predictions, rule, rows, names)
        without = costs_without_model(cost, target, rows=rows, class_names=names, **past)
    except (AirworthyError, KeyError) as error:
        return {"reason": f"amounts cannot be read: {error}"}
    return {"currency": cost.currency} | _compare_costs(model, without, units)


def _compare_costs(model: Values, without: Values, units: UnitBootstrap) -> dict[str, Any]:
    saving = without - model
    saved = float(saving.mean()) * PER_ROWS
    statistic = resample_mean(saving * PER_ROWS, units)
    lower, upper = units.interval(statistic, confidence=CONFIDENCE, value=saved)
    cost_without = float(without.mean()) * PER_ROWS
    return {
        "model": float(model.mean()) * PER_ROWS,
        "without": cost_without,
        "saved": saved,
        "lower": lower,
        "upper": upper,
        "total": float(saving.sum()),
        "total_lower": lower * len(saving) / PER_ROWS,
        "total_upper": upper * len(saving) / PER_ROWS,
        "return": saved / cost_without if cost_without > 0 else None,
    }
