"""Coverage and quality of labels against what is promised: days, error budgets and how fast they burn."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from include.data.snapshots.target_encoding import TARGET
from include.declarations import is_greater_better
from include.modeling.evaluation.bootstrap import MINIMUM_UNITS, UnitBootstrap
from include.modeling.evaluation.metrics import compute_metrics
from include.modeling.evaluation.metrics.resampled import metric_intervals
from include.monitoring.quality.maturity import DUE, LANDED
from include.monitoring.quality.skill import as_array, days_of
from include.monitoring.slo import budget_left_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from include.declarations import UseCase
    from include.monitoring.slo import SloOutcome

# With fewer due labels there is no verdict on the coverage, nor on the quality of a period of days.
MINIMUM_LABELS = 100
# One period that is worse by chance burns nothing.
MIN_PERIODS = 2


class DailyBurnRule(NamedTuple):
    """Burn rate above which there is an alarm, if it is exceeded in the last `long` and `short` days."""

    rate: float
    long: int
    short: int


# Of a budget of 28 days, 36 % are used in two days and 50 % in a week. Labels are measured once a day: the
# rules for requests are too fast.
DAILY_BURN_RULES = (DailyBurnRule(5, 2, 1), DailyBurnRule(2, 7, 2))


@dataclass(frozen=True, slots=True)
class LabelLevel:
    """
    One objective of labels over the window of the objective.

    `total` counts what was judged: predictions whose label was due, or periods of days; `bad` are those
    without a label, or worse than promised. `budget_left` is as of a service level. `burns` has the reason of
    each burn rule that fired, by its rate.
    """

    outcome: SloOutcome
    reason: str
    total: int
    bad: int
    budget_left: float
    burns: Mapping[str, str]


def count_label_days(use_case: UseCase, joined: Sequence[pd.DataFrame]) -> list[dict[str, Any]]:
    """
    Return the labels of each day of predictions, oldest first; empty if no day is known.

    Each day has `day` (ISO 8601), `due` (labels that were due, or landed), `missing` and, where a quality is
    promised, `value` and `is_worse` of the use case's metric. They are of the period of days from the one
    before on, with 100 labels or more, and None where the period does not end. Days of which fewer labels
    than `label.minimum_completeness` have landed are left out. A period is worse if the whole interval of its
    metric, of 95 %, is.

    Parameters
    ----------
    joined
        Results of `include.monitoring.label_quality.join_labels` with `DUE`, windows that do not overlap.
    """
    parts = [rows[rows[DUE] | rows[LANDED]] for rows in joined]
    parts = [rows for rows in parts if len(rows)]
    days = days_of(pd.concat(parts, ignore_index=True)) if parts else None
    if days is None:
        return []
    rows = pd.concat(parts, ignore_index=True)
    counted: list[dict[str, Any]] = []
    period: list[pd.DataFrame] = []
    for day, of_day in rows.groupby(days, sort=True):
        figures: dict[str, Any] = {"value": None, "is_worse": None}
        # The labels that come first may be of other rows than those that come later.
        if of_day[LANDED].mean() >= use_case.label.minimum_completeness:
            period.append(of_day[of_day[TARGET].notna()])
        if use_case.slo.quality is not None and sum(map(len, period)) >= MINIMUM_LABELS:
            figures = _measure_period(use_case, pd.concat(period), use_case.slo.quality)
            period = []
        missing = int((~of_day[LANDED]).sum())
        counted.append({"day": f"{day:%Y-%m-%d}", "due": len(of_day), "missing": missing} | figures)
    return counted


def _measure_period(use_case: UseCase, labelled: pd.DataFrame, limit: float) -> dict[str, Any]:
    metric = use_case.metric
    target = labelled[TARGET].to_numpy(dtype=np.float64)
    predictions = as_array(labelled)
    value = compute_metrics(use_case, predictions, target, only={metric}).get(metric, np.nan)
    if not np.isfinite(value):
        return {"value": None, "is_worse": None}
    units = UnitBootstrap.of_rows(len(target))
    lower, upper = metric_intervals({metric: value}, target, predictions, units)[metric]
    is_worse = upper < limit if is_greater_better(metric) else lower > limit
    return {"value": value, "is_worse": bool(is_worse)}


def judge_label_levels(
    use_case: UseCase, days: Sequence[Mapping[str, Any]], *, since: date
) -> dict[str, LabelLevel]:
    """
    Return `label coverage` and `label quality`, as far as they are promised.

    With fewer than 100 due labels, or five periods of the quality, the outcome is inconclusive.

    Parameters
    ----------
    days
        Result of `count_label_days`.
    since
        First day that counts.
    """
    slo = use_case.slo
    counted = [day for day in days if date.fromisoformat(day["day"]) >= since]
    levels: dict[str, LabelLevel] = {}
    if slo.label_coverage is not None:
        rows = [(day["day"], day["due"], day["missing"]) for day in counted]
        text = "of {total} labels that were due {bad} are missing"
        levels["label coverage"] = _judge_level(
            rows, slo.label_coverage, text, MINIMUM_LABELS, MINIMUM_LABELS
        )
    if slo.quality is not None:
        judged = [(day["day"], 1, int(day["is_worse"])) for day in counted if day["is_worse"] is not None]
        side = "below" if is_greater_better(use_case.metric) else "above"
        values = [day["value"] for day in counted if day["is_worse"] is not None]
        newest = f", the last one is {values[-1]:.3g}" if values else ""
        text = f"{use_case.metric} of {{bad}} of {{total}} days is {side} {slo.quality:g}{newest}"
        levels["label quality"] = _judge_level(judged, slo.quality_days, text, MINIMUM_UNITS, MIN_PERIODS)
    return levels


def _judge_level(
    rows: Sequence[tuple[str, int, int]], objective: float, text: str, minimum: int, least: int
) -> LabelLevel:
    """Return the level of days with `day`, what was judged and what of it was bad; `least` is for burns."""
    total = sum(row[1] for row in rows)
    bad = sum(row[2] for row in rows)
    left = budget_left_of(bad, total, objective)
    reason = f"{text.format(bad=bad, total=total)}, {objective:.2%} are promised to be good"
    if total < minimum:
        return LabelLevel("inconclusive", f"{reason}; {minimum} are needed", total, bad, left, {})
    burns = {f"{rule.rate:g}": _burn(rows, rule, objective, least) for rule in DAILY_BURN_RULES}
    burns = {rate: reason for rate, reason in burns.items() if reason}
    outcome: SloOutcome = "broken" if left < 0 or (bad and objective == 1) else "met"
    return LabelLevel(outcome, reason, total, bad, left, burns)


def _burn(rows: Sequence[tuple[str, int, int]], rule: DailyBurnRule, objective: float, least: int) -> str:
    """Return that the budget burns faster than the rule allows, with the figures; else ""."""
    newest = date.fromisoformat(rows[-1][0])
    # If all is bad, the rate is 1 / (1 - objective): a limit above that is half of it.
    largest = 1 / max(round(1 - objective, 9), np.finfo(np.float64).eps)
    limit = min(rule.rate, largest / 2)
    totals: dict[int, int] = {}
    rates: dict[int, float] = {}
    for length in (rule.long, rule.short):
        last = [row for row in rows if date.fromisoformat(row[0]) > newest - timedelta(days=length)]
        totals[length] = sum(row[1] for row in last)
        rates[length] = sum(row[2] for row in last) / max(totals[length], 1) * largest
    if totals[rule.long] < least or min(rates.values()) <= limit:
        return ""
    return (
        f"the error budget burns {rates[rule.long]:.1f} times as fast as it may in {rule.long} days, "
        f"{limit:g} times is the limit"
    )
