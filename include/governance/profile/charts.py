"""Charts of a column: its distribution over time, and its share of nulls."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from include.governance.profile.column_profiles import NUMERIC, QUANTILES
from include.modeling.evaluation.figures import render_png

if TYPE_CHECKING:
    import pandas as pd

    from include.governance.profile.column_profiles import ColumnProfile

SIZE_INCHES = (8.0, 1.9)
CHART_DPI = 80
MAX_TICKS = 6
BAR_WIDTH = 0.2
MAX_LEGEND_CHARACTERS = 14
MAX_DRAWN = 1e300


def draw_column(profile: ColumnProfile) -> str:
    """Return the charts of a column as a `data:` address of a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    panels = figure.subplots(1, 2, width_ratios=(3, 2))
    _draw_distribution(panels[0], profile)
    _draw_nulls(panels[1], profile)
    return f"data:image/png;base64,{base64.b64encode(render_png(figure, dpi=CHART_DPI)).decode()}"


def _draw_distribution(axes: Any, profile: ColumnProfile) -> None:
    over_time = profile.over_time
    axes.set_title("distribution", fontsize=8)
    if over_time is None:
        reason = "personal: not shown" if profile.column.personal else "nothing to show"
        axes.text(0.5, 0.5, reason, ha="center", va="center", fontsize=8, transform=axes.transAxes)
        axes.set_axis_off()
        return
    partitions = [str(name) for name in over_time.index]
    if profile.column.dtype in NUMERIC:
        low, middle, high = QUANTILES
        # Matplotlib adds margins, which must fit a double, too.
        over_time = over_time.clip(-MAX_DRAWN, MAX_DRAWN)
        _fill(axes, over_time[low], over_time[high], alpha=0.25, label="5 to 95 %")
        axes.plot(partitions, over_time[middle], marker=".", label="median")
    else:
        tops = over_time.cumsum(axis=1)
        for name in over_time.columns:
            label = str(name)[:MAX_LEGEND_CHARACTERS]
            _fill(axes, tops[name] - over_time[name], tops[name], alpha=0.8, label=label)
        axes.set_ylim(0, 1)
    axes.legend(fontsize=6, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    _label_time(axes, partitions)


def _fill(axes: Any, low: pd.Series[float], high: pd.Series[float], *, alpha: float, label: str) -> None:
    """Fill the area between two lines over the partitions; a single one, which has no area, gets a bar."""
    partitions = [str(name) for name in low.index]
    if len(partitions) > 1:
        axes.fill_between(partitions, low, high, alpha=alpha, label=label)
    else:
        axes.bar(partitions, high - low, bottom=low, width=BAR_WIDTH, alpha=alpha, label=label)


def _draw_nulls(axes: Any, profile: ColumnProfile) -> None:
    partitions = [str(name) for name in profile.nulls_over_time.index]
    axes.set_title("share of nulls", fontsize=8)
    axes.plot(partitions, profile.nulls_over_time, marker=".", color="tab:red")
    axes.set_ylim(-0.02, max(0.05, float(profile.nulls_over_time.max()) * 1.1))
    _label_time(axes, partitions)


def _label_time(axes: Any, partitions: list[str]) -> None:
    step = max(len(partitions) // MAX_TICKS, 1)
    axes.set_xticks(range(0, len(partitions), step), partitions[::step])
    axes.tick_params(labelsize=6)
