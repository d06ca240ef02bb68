"""Report of a backtest: one table and one figure, for a terminal and for a browser."""

from __future__ import annotations

import base64
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader
from rich.table import Table

from include.modeling.evaluation.figures import render_png

if TYPE_CHECKING:
    from include.modeling.backtest.walk_forward import Backtest, NightlyResult

COLUMNS = (
    "as of",
    "gates",
    "train rows",
    "test rows",
    "days to",
    "metric",
    "95 %",
    "baseline",
    "champion",
    "runs",
)
COLOURS = {"passed": "#2a7f3f", "refused": "#b3261e", "undecided": "#b58900", "not judged": "#777777"}
FIGURE_DPI = 100


def report_path(backtest: Backtest) -> str:
    """Return the path of the page among the reports of the lake."""
    first = backtest.nights[0].as_of
    last = backtest.nights[-1].as_of
    return f"backtests/{backtest.use_case}/{first}_{last}.html"


def format_night(night: NightlyResult) -> tuple[str, ...]:
    """Return a night as texts, one for each of `COLUMNS`."""
    return (
        night.as_of,
        night.state + (f": {', '.join(night.failed)}" if night.failed else ""),
        f"{night.train_rows:,}" if night.test_rows else "",
        f"{night.test_rows:,}" if night.test_rows else "",
        f"{night.last_day} ({night.test_days})" if night.test_days else night.last_day,
        _format_number(night.metric),
        "" if night.interval is None else f"{night.interval[0]:.4f} to {night.interval[1]:.4f}",
        _format_number(night.baseline),
        _format_champion(night),
        f"{night.runs}",
    )


def terminal_table(backtest: Backtest) -> Table:
    """Return the table for a terminal."""
    table = Table(*COLUMNS, box=None, pad_edge=False, title=f"{backtest.use_case}: {backtest.metric}")
    for night in backtest.nights:
        table.add_row(*format_night(night))
    return table


def render_page(backtest: Backtest) -> str:
    """Return the HTML page with the summary, the figure and the table; all texts are escaped."""
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    return environment.get_template("report.html.jinja").render(
        title=f"{backtest.use_case}: {backtest.metric} of nightly trainings",
        summary=backtest.summary,
        figure=base64.b64encode(draw_nights(backtest)).decode(),
        columns=COLUMNS,
        rows=[format_night(night) for night in backtest.nights],
    )


def draw_nights(backtest: Backtest) -> bytes:
    """Return a PNG of each night's metric with its interval, the baseline and the champion."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    axes = figure.subplots()
    for state, colour in COLOURS.items():
        _draw_points(axes, [night for night in backtest.judged if night.state == state], state, colour)
    for field, label, style in (("baseline", "baseline", ":"), ("champion_metric", "champion", "--")):
        nights = [night for night in backtest.judged if getattr(night, field) is not None]
        if nights:
            values = [getattr(night, field) for night in nights]
            axes.plot(_as_of_days(nights), values, style, color="black", alpha=0.6, label=label)
    axes.set(ylabel=f"{backtest.metric} on the days after training", xlabel="as of")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.autofmt_xdate()
    return render_png(figure, dpi=FIGURE_DPI)


def _draw_points(axes: Any, nights: list[NightlyResult], state: str, colour: str) -> None:
    if not nights:
        return
    values = []
    below = []
    above = []
    for night in nights:
        value = night.metric or 0.0
        low, high = night.interval or (value, value)
        values.append(value)
        below.append(max(value - low, 0.0))
        above.append(max(high - value, 0.0))
    axes.errorbar(
        _as_of_days(nights), values, yerr=[below, above], fmt="o", capsize=3, color=colour, label=state
    )


# Matplotlib's type stubs do not know dates.
def _as_of_days(nights: list[NightlyResult]) -> Any:
    return [date.fromisoformat(night.as_of) for night in nights]


def _format_champion(night: NightlyResult) -> str:
    if night.champion_metric is None:
        return ""
    mark = "*" if night.champion_overlap else ""
    return f"{night.champion_metric:.4f}{mark} (version {night.champion})"


def _format_number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
