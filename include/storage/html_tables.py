"""Tables for people: plain text for a log, HTML for a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader

if TYPE_CHECKING:
    import pandas as pd

MAX_CELL_WIDTH = 60


def format_table(frame: pd.DataFrame, *, max_rows: int = 50) -> str:
    """Return the first rows as text in columns, and the number of the other rows."""
    if frame.empty:
        return "(nothing)"
    text = frame.head(max_rows).to_string(index=False, max_colwidth=MAX_CELL_WIDTH, na_rep="")
    n_hidden = len(frame) - max_rows
    return text if n_hidden <= 0 else f"{text}\n… and {n_hidden:,} more"


def render_table_page(title: str, note: str, frame: pd.DataFrame, *, max_rows: int = 1_000) -> str:
    """Return the first rows as an HTML page; all texts are escaped."""
    rows = frame.head(max_rows).fillna("").astype(str)
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    return environment.get_template("table.html.jinja").render(
        title=title,
        note=note,
        columns=[str(name) for name in frame.columns],
        rows=list(rows.itertuples(index=False, name=None)),
        n_hidden=max(len(frame) - max_rows, 0),
    )
