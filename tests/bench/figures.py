"""The results of the measurements, as a table and as `bench.json`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement: `against` is its limit or reference, `how` describes the work and its size."""

    name: str
    value: float
    unit: str
    against: str
    how: str


def table(figures: Iterable[Figure], failures: dict[str, str]) -> Table:
    """Return a table of the figures and of the measurements that failed."""
    drawn = Table("measurement", "value", "unit", "against", "how")
    drawn.columns[1].justify = "right"
    for figure in figures:
        drawn.add_row(figure.name, f"{figure.value:,.4g}", figure.unit, figure.against, figure.how)
    for name, reason in failures.items():
        drawn.add_row(name, "[red]failed[/red]", "", "", reason)
    return drawn


def write(figures: Iterable[Figure], path: Path) -> None:
    """Replace the file by these figures, at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps([asdict(figure) for figure in figures], indent=1) + "\n")
    draft.replace(path)
