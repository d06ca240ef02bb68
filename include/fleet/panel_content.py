"""What a panel of a model's page shows."""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003  the application reads the annotations
from dataclasses import dataclass
from typing import Any

from include.fleet.charts import Chart  # noqa: TC001


@dataclass(frozen=True, slots=True)
class PanelContent:
    """A table, a note above it, and charts below; times are datetimes with a zone, shares 0 to 1."""

    columns: tuple[str, ...] = ()
    rows: Sequence[tuple[Any, ...]] = ()
    note: str = ""
    charts: tuple[Chart, ...] = ()
