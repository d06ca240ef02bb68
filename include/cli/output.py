"""How commands print their results: text for people on the terminal, JSON for programs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

# Characters per line where the output is not a terminal: wide enough that no cell is folded.
PIPE_WIDTH = 400


def open_console() -> Console:
    """Return a console on standard output that changes nothing in the texts it is given."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    if console.is_terminal:
        return console
    return Console(highlight=False, soft_wrap=True, width=PIPE_WIDTH)


def print_text(text: str) -> None:
    """Print `text` as it is."""
    sys.stdout.write(f"{text}\n")


def print_json(value: Any) -> None:
    """Print a value as JSON: dataclasses as objects, moments in ISO 8601, NaN and infinities as null."""
    from pydantic_core import to_json

    text = to_json(value, indent=1, inf_nan_mode="null", fallback=str).decode()
    print_text(text)


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table with its title above it; without rows, one line that says `<title>: none`."""
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    if table.row_count:
        open_console().print(table)
    else:
        print_text(f"{title}: none")


def _cell(value: object) -> str:
    from rich.markup import escape

    return "" if value is None else escape(str(value))
