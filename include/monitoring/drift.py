"""Drift of the inputs: distances between training rows and current rows, measured by Evidently."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset
from jinja2 import Environment, FileSystemLoader
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from include.errors import DataError
from include.monitoring.comparable_columns import NUMERIC_TYPES, SEED, select_comparable
from include.monitoring.personal_values import comparable_columns, with_pseudonyms
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.declarations import Column, DriftPolicy

DriftOutcome = Literal["drift", "no_drift", "inconclusive"]

# Evidently's default threshold for both distances.
MIN_THRESHOLD = 0.1
# The largest of 20 distances between random samples estimates their 95th percentile.
N_SHUFFLES = 20
# A change of the share of unusable values by more than this is drift.
MAX_UNUSABLE_CHANGE = 0.1

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
)


@dataclass(frozen=True, slots=True)
class Drift:
    """
    Result of a comparison; `share` is the share of drifted columns, `html` a page that shows them.

    `per_column` has for each column `drifted`, `reason`, `distance`, `threshold` and the shares of unusable
    values, and is valid JSON. `sampled` is True if not all rows were compared.
    """

    outcome: DriftOutcome
    reason: str
    share: float
    per_column: dict[str, dict[str, Any]]
    rows_reference: int
    rows_current: int
    sampled: bool
    html: str

    @property
    def drifted(self) -> bool:
        """True if there is drift; False also if there were too few rows to decide, see `outcome`."""
        return self.outcome == "drift"


def measure_drift(
    reference: pd.DataFrame, current: pd.DataFrame, *, columns: Sequence[Column], policy: DriftPolicy
) -> Drift:
    """
    Compare `current` with `reference` column by column.

    Timestamps are left out because they always drift. Distances are used instead of p-values, so that the
    result does not depend on the number of rows: the Wasserstein distance over the standard deviation of the
    reference for numbers, the Jensen-Shannon distance for categories. A column drifts if its distance is at
    least 0.1 and larger than between random samples of the same sizes. A column also drifts if the share of
    unusable values (missing, infinite or of another type) changes, which Evidently does not detect. Personal
    text is compared as pseudonyms; other personal values are not logged, and so not compared.

    Parameters
    ----------
    reference
        Training rows with at least `columns`.
    current
        Rows to compare; a missing column counts as unusable.

    Raises
    ------
    DataError
        If the reference lacks a column, or a frame has two columns with the same name.
    """
    columns = comparable_columns(_select_columns(reference, columns))
    reference = with_pseudonyms(reference, columns, settings().pseudonym_key)
    current = with_pseudonyms(current, columns, settings().pseudonym_key)
    n_reference = len(reference)
    n_current = len(current)
    reason = _incomparable(columns, n_reference, n_current, policy)
    if reason:
        page = _render_page(reason, {}, "")
        return Drift("inconclusive", reason, 0.0, {}, n_reference, n_current, sampled=False, html=page)
    old = select_comparable(reference, columns, maximum_rows=policy.maximum_rows)
    new = select_comparable(current, columns, maximum_rows=policy.maximum_rows)
    per_column, evidently_page = _measure_columns(old, new, columns)
    drifted = [name for name, figures in per_column.items() if figures["drifted"]]
    share = len(drifted) / len(columns)
    reason = f"{len(drifted)} of {len(columns)} columns drifted"
    if drifted:
        reason = f"{reason}: {', '.join(drifted)}"
    sampled = max(n_reference, n_current) > policy.maximum_rows
    rows = f"a fixed random sample of at most {policy.maximum_rows:,}" if sampled else "all"
    note = f"{reason}. Compared {rows} of {n_reference:,} reference rows and {n_current:,} current rows."
    outcome: DriftOutcome = "drift" if share >= policy.columns_share else "no_drift"
    page = _render_page(note, per_column, evidently_page)
    return Drift(outcome, reason, share, per_column, n_reference, n_current, sampled=sampled, html=page)


def _select_columns(reference: pd.DataFrame, columns: Sequence[Column]) -> list[Column]:
    """Return the columns to compare; raise DataError if the reference lacks one, or none is left."""
    selected = [column for column in columns if column.dtype != "timestamp"]
    absent = [column.name for column in selected if column.name not in reference]
    if absent or not selected:
        raise DataError(
            f"The reference has no column {', '.join(absent)}. Compare with rows of the snapshot."
        )
    return selected


def _measure_columns(
    old: pd.DataFrame, new: pd.DataFrame, columns: Sequence[Column]
) -> tuple[dict[str, dict[str, Any]], str]:
    """Return the figures of each column, and Evidently's page (empty if no column has values in both)."""
    measurable = [
        column for column in columns if old[column.name].notna().any() and new[column.name].notna().any()
    ]
    thresholds = {
        column.name: _chance_threshold(old[column.name].dropna(), new[column.name].dropna(), column)
        for column in measurable
    }
    distances: dict[str, float | None] = {}
    page = ""
    if measurable:
        distances, page = _run_evidently(old, new, measurable, thresholds)
    per_column: dict[str, dict[str, Any]] = {}
    for column in columns:
        figures = {
            "distance": distances.get(column.name),
            "threshold": thresholds.get(column.name),
            "unusable_reference": float(old[column.name].isna().mean()),
            "unusable_current": float(new[column.name].isna().mean()),
        }
        reason = _drift_reason(figures)
        per_column[column.name] = {"drifted": reason is not None, "reason": reason} | figures
    return per_column, page


def _run_evidently(
    old: pd.DataFrame, new: pd.DataFrame, columns: Sequence[Column], thresholds: dict[str, float]
) -> tuple[dict[str, float | None], str]:
    names = [column.name for column in columns]
    numbers = [column.name for column in columns if column.dtype in NUMERIC_TYPES]
    categories = [name for name in names if name not in numbers]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=categories)
    preset = DataDriftPreset(
        columns=names,
        num_method="wasserstein",
        cat_method="jensenshannon",
        per_column_threshold=thresholds,
        include_tests=False,
    )
    frames = [Dataset.from_pandas(frame[names], definition) for frame in (new, old)]
    snapshot = Report([preset]).run(*frames)
    distances: dict[str, float | None] = {}
    for metric in snapshot.dict()["metrics"]:
        if metric["config"]["type"].endswith(":ValueDrift"):
            distance = float(metric["value"])
            distances[metric["config"]["column"]] = distance if np.isfinite(distance) else None
    return distances, snapshot.get_html_str(as_iframe=False)


def _incomparable(columns: Sequence[Column], n_reference: int, n_current: int, policy: DriftPolicy) -> str:
    """Return why nothing can be compared; empty if it can."""
    if not columns:
        return "no feature can be compared: all are personal values that are not logged"
    if min(n_reference, n_current) < policy.minimum_rows:
        return (
            f"{n_current} rows against {n_reference} of the reference, "
            f"{policy.minimum_rows} of each are needed"
        )
    return ""


def _chance_threshold(old: pd.Series, new: pd.Series, column: Column) -> float:
    """Return the largest distance between random splits of all values, but at least 0.1."""
    pool = pd.concat([old, new], ignore_index=True)
    is_number = column.dtype in NUMERIC_TYPES
    values = pool.to_numpy() if is_number else pd.factorize(pool)[0]
    n_categories = 0 if is_number else int(values.max()) + 1
    generator = np.random.default_rng(SEED)
    largest = 0.0
    for _ in range(N_SHUFFLES):
        left, right = np.split(generator.permutation(values), [len(old)])
        if is_number:
            distance = wasserstein_distance(left, right) / max(float(np.std(left)), 0.001)
        else:
            left_shares = np.bincount(left, minlength=n_categories) / len(left)
            right_shares = np.bincount(right, minlength=n_categories) / len(right)
            distance = jensenshannon(left_shares, right_shares)
        largest = max(largest, float(distance))
    return max(MIN_THRESHOLD, largest * 1.01)


def _drift_reason(figures: dict[str, Any]) -> str | None:
    before = figures["unusable_reference"]
    now = figures["unusable_current"]
    if abs(now - before) > MAX_UNUSABLE_CHANGE:
        return f"{now:.0%} of the values are missing, infinite or of another type, before {before:.0%}"
    if figures["threshold"] is None:
        return None
    if figures["distance"] is None:
        return "the distance could not be calculated"
    if figures["distance"] >= figures["threshold"]:
        return f"distance {figures['distance']:.3f}, drift starts at {figures['threshold']:.3f}"
    return None


def _render_page(note: str, per_column: dict[str, dict[str, Any]], evidently_page: str) -> str:
    reasons = {name: figures["reason"] for name, figures in per_column.items() if figures["drifted"]}
    template = _TEMPLATES.get_template("drift_report.html.jinja")
    summary = template.render(note=note, reasons=reasons, whole_page=not evidently_page)
    if not evidently_page:
        return summary
    return evidently_page.replace("<body>", f"<body>{summary}", 1)
