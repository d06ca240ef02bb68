"""Results of a replay: how good each strategy's predictions were, by the labels that came later."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from include.data.snapshots.target_encoding import TARGET
from include.inference.predictions import PREDICTION, VERSION
from include.modeling.evaluation.costs import costs_without_model, row_costs
from include.modeling.evaluation.metrics import compute_metrics
from include.monitoring import windows
from include.monitoring.champion_check import read_labels
from include.monitoring.label_quality import join_labels
from include.monitoring.quality.skill import as_array

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from include.replay.journal import DayRecord
    from include.replay.player import Replay, Strategy

DAYS_PER_WEEK = 7


@dataclass(frozen=True, slots=True)
class ReplayCounts:
    """
    What happened in a time.

    `trainings` led to `promotions`, or were `refused` by a gate, `inconclusive` (a person would have been
    asked) or `failed`. `drifted` and `lost` are days on which drift, or a loss of quality, was found;
    `requests` are those on which the governor asked for a training, `alarms` those on which it called a
    person.
    """

    trainings: int = 0
    promotions: int = 0
    refused: int = 0
    inconclusive: int = 0
    failed: int = 0
    drifted: int = 0
    lost: int = 0
    requests: int = 0
    alarms: int = 0


@dataclass(frozen=True, slots=True)
class ReplayWeek:
    """
    A week: predictions with a label, their metrics, what the decisions cost, and what happened.

    `cost` is in the currency of the use case; None without a declared cost.
    """

    first: date
    last: date
    labelled: int
    metrics: dict[str, float]
    cost: float | None
    counts: ReplayCounts


@dataclass(frozen=True, slots=True)
class StrategyResult:
    """
    A strategy over all days that were played.

    `metrics` are those of all predictions together. `saved` is the cost of the best constant decision, chosen
    in hindsight, less `cost`.
    """

    strategy: Strategy
    labelled: int
    metrics: dict[str, float]
    cost: float | None
    saved: float | None
    counts: ReplayCounts
    weeks: tuple[ReplayWeek, ...]


def summarise(replay: Replay, strategy: Strategy, records: Sequence[DayRecord]) -> StrategyResult:
    """Return the result of a strategy; a week of predictions is in memory, of all only what metrics need."""
    weeks: list[ReplayWeek] = []
    targets: list[np.ndarray] = []
    predictions: list[np.ndarray] = []
    for start in range(0, len(records), DAYS_PER_WEEK):
        days = records[start : start + DAYS_PER_WEEK]
        rows = _labelled_rows(replay, strategy, days)
        target = rows[TARGET].to_numpy(dtype=np.float64)
        predicted = as_array(rows)
        metrics = compute_metrics(replay.use_case, predicted, target) if len(rows) else {}
        cost = _cost(replay, rows) if len(rows) else None
        weeks.append(ReplayWeek(days[0].day, days[-1].day, len(rows), metrics, cost, count_events(days)))
        if len(rows):
            targets.append(target)
            predictions.append(predicted)
    all_targets = np.concatenate(targets) if targets else np.empty(0)
    costs = [week.cost for week in weeks if week.cost is not None]
    cost = sum(costs) if costs else None
    return StrategyResult(
        strategy,
        len(all_targets),
        compute_metrics(replay.use_case, np.concatenate(predictions), all_targets) if targets else {},
        cost,
        None if cost is None else _cost_without_model(replay, all_targets) - cost,
        count_events(records),
        tuple(weeks),
    )


def count_events(records: Iterable[DayRecord]) -> ReplayCounts:
    """Return what happened on some days."""
    conclusions: Counter[str] = Counter()
    checks: Counter[str] = Counter()
    for record in records:
        conclusions.update(training.conclusion for training in record.trainings)
        if record.check is not None:
            checks.update([record.check.action])
            checks.update(record.check.fired)
    return ReplayCounts(
        trainings=conclusions.total(),
        promotions=conclusions["passed"],
        refused=conclusions["refused"],
        inconclusive=conclusions["undecided"],
        failed=conclusions["failed"],
        drifted=checks["drift"],
        lost=checks["quality"],
        requests=checks["retrain"],
        alarms=checks["alert"],
    )


def _labelled_rows(replay: Replay, strategy: Strategy, records: Sequence[DayRecord]) -> pd.DataFrame:
    """Return the predictions of some days that have a label by now, with features and `TARGET`."""
    use_case = replay.use_case
    scored = [record for record in records if record.version is not None and record.rows]
    if not scored or use_case.label.is_absent:
        return pd.DataFrame({TARGET: [], PREDICTION: []})
    lake = replay.lake(strategy)
    selection = replay.versions.context(scored[-1].version or 0).specification.selection
    days = [record.day for record in scored]
    window = windows.read_partitions(lake, use_case, selection, days)
    until = days[-1] + timedelta(days=use_case.drift.window_days)
    labels = read_labels(lake, use_case, selection.spine, [window], until=until)
    joined = join_labels(
        window.predictions, labels, use_case, keys=selection.spine.label_keys, time=use_case.label.time
    )
    return joined.dropna(subset=[TARGET]).reset_index(drop=True)


def _cost(replay: Replay, rows: pd.DataFrame) -> float | None:
    """Return what the decisions on these rows cost, each by the rule of the version that predicted it."""
    use_case = replay.use_case
    if use_case.cost is None:
        return None
    total = 0.0
    for version in rows[VERSION].unique():
        part = rows[rows[VERSION] == version]
        rule = replay.versions.figures(int(version)).rule
        target = part[TARGET].to_numpy(dtype=np.float64)
        total += float(
            row_costs(use_case.cost, target, as_array(part), rule, part, use_case.class_names).sum()
        )
    return total


def _cost_without_model(replay: Replay, target: np.ndarray) -> float:
    use_case = replay.use_case
    if use_case.cost is None:
        return 0.0
    costs = costs_without_model(
        use_case.cost, target, train=target, selection=target, class_names=use_case.class_names
    )
    return float(costs.sum())
