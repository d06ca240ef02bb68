"""Line charts of the panels, as SVG that is readable on a light and on a dark page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence  # noqa: TC003  the application reads the annotations
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003
from itertools import chain

SIZE_INCHES = (8.0, 2.2)
INK = "#7a7f87"
MAX_LINES = 6
# In days, the unit of matplotlib's dates.
HALF_A_DAY = 0.5


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over time: of each name the values at `moments`, None where there is no value."""

    label: str
    moments: Sequence[datetime]
    lines: Mapping[str, Sequence[float | None]]

    @property
    def is_empty(self) -> bool:
        """True if no line has a value."""
        values = chain.from_iterable(self.lines.values())
        return all(value is None for value in values)


def draw_chart(chart: Chart) -> bytes:
    """Return the chart as SVG with a transparent background; the same chart gives the same bytes."""
    from matplotlib import rc_context
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "airworthy", "text.color": INK, "axes.labelcolor": INK}):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        axes = figure.subplots()
        moments = date2num(list(chart.moments))
        axes.xaxis_date()
        for name, values in list(chart.lines.items())[:MAX_LINES]:
            heights = [float("nan") if value is None else float(value) for value in values]
            axes.plot(moments, heights, marker=".", linewidth=1.5, label=name)
        if len(set(chart.moments)) == 1:
            # matplotlib would show the years around a single point.
            axes.set_xlim(moments[0] - HALF_A_DAY, moments[0] + HALF_A_DAY)
        axes.set_ylabel(chart.label, fontsize=8)
        axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
        locator = AutoDateLocator(maxticks=8)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        axes.tick_params(labelsize=7, colors=INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(INK)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
