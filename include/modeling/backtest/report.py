"""A backtest as one table and one picture, for a terminal and for a browser."""

from __future__ import annotations

import base64
import io
from datetime import date
from html import escape
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from include.modeling.backtest.walk_forward import Backtest, NightlyResult

HEADS = (
    "as of",
    "gates",
    "train rows",
    "test rows",
    "days to",
    "metric",
    "95 %",
    "naive",
    "champion",
    "runs",
)
COLOURS = {"passed": "#2a7f3f", "refused": "#b3261e", "undecided": "#b58900", "not judged": "#777777"}
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em; }}
table {{ border-collapse: collapse; }}
td, th {{ border: 1px solid #ccc; padding: .2em .6em; text-align: left; }}
img {{ max-width: 100%; }}
</style></head><body>
<h1>{title}</h1>
<p>{summary}</p>
<img alt="The metric of every night" src="data:image/png;base64,{picture}">
<table><tr>{heads}</tr>
{rows}
</table>
</body></html>
"""


def path_of(found: Backtest) -> str:
    """Return where the page lies among the lake's reports."""
    return f"backtests/{found.use_case}/{found.nights[0].as_of}_{found.nights[-1].as_of}.html"


def cells(night: NightlyResult) -> tuple[str, ...]:
    """Return a night as a row of text, by `HEADS`."""
    verdict = night.state + (f": {', '.join(night.failed)}" if night.failed else "")
    interval = "" if night.interval is None else f"{night.interval[0]:.4f} to {night.interval[1]:.4f}"
    champion = ""
    if night.champion_metric is not None:
        champion = f"{night.champion_metric:.4f}{'*' * bool(night.champion_saw)} (version {night.champion})"
    judged = f"{night.last_day} ({night.test_days})" if night.test_days else night.last_day
    rows = (f"{night.train_rows:,}", f"{night.test_rows:,}") if night.test_rows else ("", "")
    figures = (_figure(night.metric), interval, _figure(night.naive), champion)
    return (night.as_of, verdict, *rows, judged, *figures, f"{night.runs}")


def table(found: Backtest) -> Table:
    """Return the table for a terminal."""
    drawn = Table(*HEADS, box=None, pad_edge=False, title=f"{found.use_case}: {found.metric}")
    for night in found.nights:
        drawn.add_row(*cells(night))
    return drawn


def html(found: Backtest) -> str:
    """Return the page: the summary, the picture and the table."""
    rows = ["".join(f"<td>{escape(cell)}</td>" for cell in cells(night)) for night in found.nights]
    title = f"{found.use_case}: {found.metric}, trained anew every night"
    return _PAGE.format(
        title=escape(title),
        summary=escape(found.summary),
        picture=base64.b64encode(picture(found)).decode(),
        heads="".join(f"<th>{head}</th>" for head in HEADS),
        rows="\n".join(f"<tr>{row}</tr>" for row in rows),
    )


def picture(found: Backtest) -> bytes:
    """Return a PNG: each night's metric with its interval, the naive forecast and the champion."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    axes = figure.subplots()
    for state, colour in COLOURS.items():
        _points(axes, [night for night in found.judged if night.state == state], state, colour)
    for name, style in (("naive", ":"), ("champion_metric", "--")):
        nights = [night for night in found.judged if getattr(night, name) is not None]
        if nights:
            values = [getattr(night, name) for night in nights]
            axes.plot(_days(nights), values, style, color="black", alpha=0.6, label=name.partition("_")[0])
    axes.set(ylabel=f"{found.metric} on the days after training", xlabel="as of")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.autofmt_xdate()
    page = io.BytesIO()
    figure.savefig(page, format="png", dpi=100, metadata={"Software": None})
    return page.getvalue()


def _points(axes: Any, nights: list[NightlyResult], state: str, colour: str) -> None:
    if not nights:
        return
    values = [night.metric or 0.0 for night in nights]
    bounds = [night.interval or (value, value) for night, value in zip(nights, values, strict=True)]
    below = [max(value - low, 0.0) for value, (low, _) in zip(values, bounds, strict=True)]
    above = [max(high - value, 0.0) for value, (_, high) in zip(values, bounds, strict=True)]
    axes.errorbar(_days(nights), values, yerr=[below, above], fmt="o", capsize=3, color=colour, label=state)


def _days(nights: list[NightlyResult]) -> Any:  # dates, which matplotlib's stubs do not know
    return [date.fromisoformat(night.as_of) for night in nights]


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
