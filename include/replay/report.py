"""Report of a replay: a table for a terminal, and charts of the weeks."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

from include.fleet.charts import Chart, draw_chart
from include.replay.player import STRATEGIES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from include.declarations import UseCase
    from include.replay.results import ReplayWeek, StrategyResult

COLUMNS = (
    "strategy", "cost", "saved", "trainings", "promoted", "refused", "inconclusive", "failed",
    "days with drift", "days with lost quality", "requests", "alarms",
)  # fmt: skip


def table_metrics(use_case: UseCase) -> tuple[str, ...]:
    """Return the metrics of the table: the declared one, and for a binary task the AUC."""
    metrics = [use_case.metric, *(["roc_auc"] if use_case.task == "binary" else [])]
    return tuple(dict.fromkeys(metrics))


def result_rows(use_case: UseCase, results: Sequence[StrategyResult]) -> list[tuple[str, ...]]:
    """Return each strategy as texts: its name, its metrics, then the rest of `COLUMNS`."""
    rows = []
    for result in results:
        counts = result.counts
        numbers = (
            counts.trainings, counts.promotions, counts.refused, counts.inconclusive, counts.failed,
            counts.drifted, counts.lost, counts.requests, counts.alarms,
        )  # fmt: skip
        metrics = [_format(result.metrics.get(name), ".4f") for name in table_metrics(use_case)]
        amounts = [_format(result.cost, ",.0f"), _format(result.saved, ",.0f")]
        rows.append((result.strategy, *metrics, *amounts, *map(str, numbers)))
    return rows


def write_charts(use_case: UseCase, results: Sequence[StrategyResult], folder: Path) -> list[Path]:
    """Write one SVG for each metric of the table, and one of the costs; return their paths."""
    charts = {name: _weekly(results, name, _metric_of(name)) for name in table_metrics(use_case)}
    if use_case.cost is not None:
        currency = use_case.cost.currency
        charts["cost"] = _weekly(results, f"{currency} per labelled row", _cost_per_row)
    paths = []
    for name, chart in charts.items():
        path = folder / f"{name.replace('@', '_')}.svg"
        path.write_bytes(draw_chart(chart))
        paths.append(path)
    return paths


def _weekly(
    results: Sequence[StrategyResult], label: str, value_of: Callable[[ReplayWeek], float | None]
) -> Chart:
    """Return the weeks as a chart with a line for each strategy."""
    weeks = max((result.weeks for result in results), key=len)
    lines: dict[str, list[float | None]] = {}
    for result in results:
        values = [value_of(week) for week in result.weeks]
        lines[STRATEGIES[result.strategy]] = values + [None] * (len(weeks) - len(values))
    moments = [datetime.combine(week.first, time(), UTC) for week in weeks]
    return Chart(label, moments, lines)


def _metric_of(name: str) -> Callable[[ReplayWeek], float | None]:
    return lambda week: week.metrics.get(name)


def _cost_per_row(week: ReplayWeek) -> float | None:
    return None if week.cost is None or not week.labelled else week.cost / week.labelled


def _format(value: float | None, pattern: str) -> str:
    return "" if value is None else format(value, pattern)
