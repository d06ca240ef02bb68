"""Details of the quality by labels: days of change, the worst slices, and the business value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.data.snapshots.target_encoding import TARGET
from include.modeling.evaluation.bootstrap import UnitBootstrap
from include.monitoring.quality.change_points import find_change_points
from include.monitoring.quality.label_levels import count_label_days
from include.monitoring.quality.label_surges import find_label_surges
from include.monitoring.quality.skill import as_array, days_of, row_losses
from include.monitoring.quality.value import measure_value
from include.monitoring.quality.worst_slices import find_worst_slices
from include.monitoring.windows import ROW_PREFIX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.declarations import UseCase
    from include.inference.decisions import DecisionRule

MINIMUM_LABELS = 100


def measure_details(
    use_case: UseCase,
    reference: pd.DataFrame,
    joined: Sequence[pd.DataFrame],
    *,
    position: int,
    rule: DecisionRule | None,
) -> dict[str, Any]:
    """
    Return details of all windows, and `worst_slices` and `value` of one, as far as there are labels.

    Those of all windows are `change_points`, `label_days` and `label_surges`, and `of_all` of the value, from
    the day `start` on.

    Parameters
    ----------
    reference
        The champion's training rows with `TARGET`, (n, k).
    joined
        Results of `include.monitoring.label_quality.join_labels`, newest window first.
    position
        Number of the window whose slices and value are measured.
    rule
        The champion's rule of decisions, where it is known.
    """
    details: dict[str, Any] = {
        "change_points": _find_changes(use_case, joined),
        "label_days": count_label_days(use_case, joined),
        "label_surges": find_label_surges(use_case, reference[TARGET], joined),
    }
    labelled = joined[position][joined[position][TARGET].notna()].reset_index(drop=True)
    if len(labelled) < MINIMUM_LABELS:
        return details
    target = labelled[TARGET].to_numpy(dtype=np.float64)
    details["worst_slices"] = find_worst_slices(
        use_case, target, as_array(labelled), rows=_rows_of_slices(labelled), trained=reference
    )
    details["value"] = _measure_saving(use_case, labelled, reference, rule)
    if "saved" in details["value"]:
        all_windows = _labelled_of(joined)
        of_all = _measure_saving(use_case, all_windows, reference, rule)
        days = days_of(all_windows)
        start = None if days is None else str(days.min())[:10]
        details["value"]["of_all"] = of_all | {"start": start}
    return details


def _measure_saving(
    use_case: UseCase, labelled: pd.DataFrame, reference: pd.DataFrame, rule: DecisionRule | None
) -> dict[str, Any]:
    target = labelled[TARGET].to_numpy(dtype=np.float64)
    days = days_of(labelled)
    units = UnitBootstrap.of_rows(len(target)) if days is None else UnitBootstrap.of_days(days).or_rows()
    return measure_value(
        use_case, target, as_array(labelled),
        trained=reference, rule=rule, units=units, rows=_rows_of_slices(labelled),
    )  # fmt: skip


def _rows_of_slices(labelled: pd.DataFrame) -> pd.DataFrame:
    """Return the logged columns of the rows, (n, k), by their names in the feature view."""
    logged = labelled.filter(regex=f"^{ROW_PREFIX}")
    return logged.rename(columns=lambda name: name.removeprefix(ROW_PREFIX))


def _labelled_of(joined: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of all windows that have a label with a value."""
    parts = [rows[rows[TARGET].notna()] for rows in joined]
    return pd.concat([rows for rows in parts if len(rows)] or parts[:1], ignore_index=True)


def _find_changes(use_case: UseCase, joined: Sequence[pd.DataFrame]) -> list[dict[str, Any]]:
    labelled = _labelled_of(joined)
    days = days_of(labelled)
    if days is None or labelled.empty:
        return []
    losses = row_losses(use_case, as_array(labelled), labelled[TARGET].to_numpy(dtype=np.float64))
    return find_change_points(losses, days)
