"""Rendering of Matplotlib figures."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PNG_DPI = 110


def render_png(figure: Figure, *, dpi: int = PNG_DPI) -> bytes:
    """
    Return `figure` as a PNG of `dpi` dots per inch.

    The file does not name the version of Matplotlib, so the same figure always gives the same bytes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    figure.set_dpi(dpi)
    # Figure.savefig would draw the figure twice.
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()
