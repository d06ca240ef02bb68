"""A frame as a table for people: text for a log, HTML for a page."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

WIDEST = 60  # letters of a cell in a log
STYLE = (
    "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}"
    "td,th{border:1px solid #ccc;padding:.3em .6em;text-align:left;vertical-align:top}"
)


def format_table(frame: pd.DataFrame, *, most: int = 50) -> str:
    """Return the first rows in columns, and how many there are beyond."""
    if frame.empty:
        return "(nothing)"
    shown = frame.head(most).to_string(index=False, max_colwidth=WIDEST, na_rep="")
    beyond = len(frame) - most
    return shown if beyond <= 0 else f"{shown}\n… and {beyond:,} more"


def render_table_page(title: str, note: str, frame: pd.DataFrame, *, most: int = 1_000) -> str:
    """Return the first rows as a page; whatever stands in them is shown, never run."""
    head = "".join(f"<th>{escape(str(name))}</th>" for name in frame.columns)
    rows = frame.head(most).fillna("").astype(str).itertuples(index=False)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    beyond = f"<p>… and {len(frame) - most:,} more.</p>" if len(frame) > most else ""
    return (
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style><body><h1>{escape(title)}</h1><p>{escape(note)}</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{beyond}</body></html>"
    )
