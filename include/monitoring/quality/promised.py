"""Quality in production against what the champion's own evaluation promised, and against the labels' mean."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from include.declarations import is_greater_better
from include.inference.decisions import DecisionRule
from include.modeling.evaluation.bootstrap import UnitBootstrap
from include.modeling.evaluation.metrics.resampled import metric_intervals
from include.modeling.pipeline.workspace import EVIDENCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from include.modeling.registry.registry import Registry

    Values = npt.NDArray[np.float64]
    Bounds = tuple[float, float]


class EvaluationComparison(NamedTuple):
    """
    A metric in production and in the champion's evaluation.

    Attributes
    ----------
    metric : str
    value : float
        Of the window.
    interval, promised : tuple of float
        Bounds of the window and of the evaluation, each with a confidence of 95 %.
    is_worse : bool
        True if even the better bound of the window is worse than the worse bound of the evaluation.
    """

    metric: str
    value: float
    interval: Bounds
    promised: Bounds
    is_worse: bool

    def describe(self) -> str:
        """Return both figures as text."""
        lower, upper = self.interval
        return (
            f"{self.metric} {self.value:.3f} ({lower:.3f} to {upper:.3f}), "
            f"in the evaluation {self.promised[0]:.3f} to {self.promised[1]:.3f}"
        )


def logged_intervals(registry: Registry, use_case: str, version: int) -> dict[str, Bounds]:
    """
    Return the interval of each metric on the test rows of a registered version; empty if not logged.

    A point is none: it was logged by an earlier release, which resampled the days even of a single one.

    Raises
    ------
    ServiceUnavailable
        If MLflow does not answer.
    """
    content = _read_evidence(registry, use_case, version)
    intervals = content.get("intervals", {}).items()
    return {name: (lower, upper) for name, (lower, upper) in intervals if lower < upper}


def logged_rule(registry: Registry, use_case: str, version: int) -> dict[str, DecisionRule]:
    """
    Return `rule`, the rule of decisions that a registered version was evaluated with; empty if not logged.

    Raises
    ------
    ServiceUnavailable
        If MLflow does not answer.
    """
    costs = _read_evidence(registry, use_case, version).get("costs") or {}
    threshold = costs.get("threshold")
    expected = costs.get("expected_costs") or ()
    if threshold is None and not expected:
        return {}
    return {"rule": DecisionRule(threshold, tuple(tuple(row) for row in expected))}


def _read_evidence(registry: Registry, use_case: str, version: int) -> dict[str, Any]:
    run_id = registry.tags_of(use_case, version).get("airworthy.run_id", "")
    file = registry.read_file(run_id, EVIDENCE) if run_id else None
    content: dict[str, Any] = json.loads(file) if file else {}
    return content


def compare_with_evaluation(
    metric: str,
    figures: Mapping[str, float],
    target: Values,
    predictions: Values,
    days: npt.NDArray[np.datetime64] | None,
    promised: Mapping[str, Bounds],
) -> EvaluationComparison | None:
    """
    Compare a window's metric with the evaluation; None if one of them is not known.

    The days of a window are resampled, as in the evaluation; of fewer than five days, its rows.

    Parameters
    ----------
    figures
        Metrics of the window.
    target, predictions
        Rows of the window, (n,) and (n,) or (n, n_classes).
    days
        Day of each row, (n,).
    promised
        Result of `logged_intervals`.
    """
    if metric not in promised or metric not in figures:
        return None
    units = UnitBootstrap.of_rows(len(target)) if days is None else UnitBootstrap.of_days(days).or_rows()
    value = figures[metric]
    lower, upper = metric_intervals({metric: value}, target, predictions, units)[metric]
    lowest, highest = promised[metric]
    is_worse = upper < lowest if is_greater_better(metric) else lower > highest
    return EvaluationComparison(metric, value, (lower, upper), (lowest, highest), is_worse)
