"""The page of a drift check: the verdicts of all rows, and Evidently's plots of a sample."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset
from jinja2 import Environment, FileSystemLoader

from include.monitoring.comparable_columns import NUMERIC_TYPES, select_comparable
from include.monitoring.distributions.shifts import MIN_EFFECTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from include.declarations import Column

_log = logging.getLogger(__name__)
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
)


def render_verdicts(note: str, per_column: Mapping[str, Mapping[str, Any]], *, whole_page: bool) -> str:
    """Return the note, and the figures of each column in the order of the mapping, as a page or a part."""
    template = _TEMPLATES.get_template("drift_report.html.jinja")
    return template.render(note=note, per_column=per_column, whole_page=whole_page)


def draw_page(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    columns: Sequence[Column],
    *,
    note: str,
    per_column: Mapping[str, Mapping[str, Any]],
    maximum_rows: int,
    n_current: int | None = None,
) -> str:
    """
    Return the verdicts, and below them Evidently's report of at most `maximum_rows` rows of each side.

    `current` may be a sample itself, of `n_current` rows.

    The sample has one random row of each of as many blocks of neighbouring rows. Columns without a usable
    value on one side have no plot.
    """
    old = select_comparable(reference, columns, maximum_rows=maximum_rows)
    new = select_comparable(current, columns, maximum_rows=maximum_rows)
    drawn = [
        column for column in columns if old[column.name].notna().any() and new[column.name].notna().any()
    ]
    if not drawn:
        return render_verdicts(note, per_column, whole_page=True)
    n_current = len(current) if n_current is None else n_current
    is_sample = len(old) < len(reference) or len(new) < n_current
    sample = (
        f"a sample of {len(old):,} of {len(reference):,} training rows and {len(new):,} of {n_current:,} "
        "current rows: one random row of each block of neighbouring rows"
    )
    note = (
        f"{note} The plots below, and the distances and verdicts beside them, are by Evidently, of "
        f"{sample if is_sample else 'the same rows'}; its threshold is {MIN_EFFECTS['values']} whatever the "
        "number of rows."
    )
    summary = render_verdicts(note, per_column, whole_page=False)
    try:
        return _draw_evidently(old, new, drawn).replace("<body>", f"<body>{summary}", 1)
    except Exception as error:  # noqa: BLE001  the verdicts do not depend on the plots
        _log.exception("The plots of the drift report cannot be drawn")
        note = f"{note} The plots cannot be drawn: {error}"
        return render_verdicts(note, per_column, whole_page=True)


def _draw_evidently(old: pd.DataFrame, new: pd.DataFrame, columns: Sequence[Column]) -> str:
    names = [column.name for column in columns]
    numbers = [column.name for column in columns if column.dtype in NUMERIC_TYPES]
    categories = [name for name in names if name not in numbers]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=categories)
    preset = DataDriftPreset(
        columns=names,
        num_method="wasserstein",
        cat_method="jensenshannon",
        threshold=MIN_EFFECTS["values"],
        include_tests=False,
    )
    frames = [Dataset.from_pandas(frame[names], definition) for frame in (new, old)]
    page: str = Report([preset]).run(*frames).get_html_str(as_iframe=False)
    return page
