"""Whether the inputs still look like the ones the model learned from; Evidently measures and draws."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from include.errors import DataError
from include.monitoring.comparable_columns import NUMBERS, SEED, comparable
from include.monitoring.figures import jsonable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.declarations import Column, DriftPolicy

DriftOutcome = Literal["drift", "no_drift", "inconclusive"]

EFFECT = 0.1  # Evidently's own threshold of both distances
SHUFFLES = 20  # the largest of so many distances by chance is about its 95th percentile
UNUSABLE = 0.1  # a share of unusable values that changes by more than this is drift


@dataclass(frozen=True, slots=True)
class Drift:
    """
    What was measured; `share` is that of the drifted columns, `html` the page for people.

    `per_column` holds for each column `drifted`, `reason`, `distance`, `threshold` and the shares of unusable
    values, as valid JSON. `sampled` says that not every row was looked at.
    """

    outcome: DriftOutcome
    reason: str
    share: float
    per_column: dict[str, dict[str, Any]]
    rows_reference: int
    rows_current: int
    sampled: bool
    html: str

    def as_json(self) -> dict[str, Any]:
        """Return everything but the page."""
        return {name: value for name, value in jsonable(self).items() if name != "html"}

    @property
    def drifted(self) -> bool:
        """Whether there is drift; False also where there were too few rows to tell, see `outcome`."""
        return self.outcome == "drift"


def measure_drift(
    reference: pd.DataFrame, current: pd.DataFrame, *, columns: Sequence[Column], policy: DriftPolicy
) -> Drift:
    """
    Compare `current` with `reference`, column by column; timestamps are left out, for they always drift.

    Distances, not p-values, so that the answer does not depend on how many rows there are: Wasserstein's
    (over the reference's deviation) for numbers, Jensen and Shannon's for categories. A column drifts from
    0.1 on, if that is also more than chance does to so many rows. A column that vanished, went silent,
    changed its type or filled with infinities drifts too: Evidently alone stays silent or crashes.

    :raises DataError: if the reference lacks a column, or a column stands twice in a frame
    """
    columns = [column for column in columns if column.dtype != "timestamp"]
    absent = [column.name for column in columns if column.name not in reference]
    if absent or not columns:
        raise DataError(
            f"The reference has no column {', '.join(absent)}. Compare with rows of the snapshot."
        )
    rows = (len(reference), len(current))
    if min(rows) < policy.minimum_rows:
        reason = (
            f"{rows[1]} rows against {rows[0]} of the reference, {policy.minimum_rows} of each are needed"
        )
        return Drift("inconclusive", reason, 0.0, {}, *rows, sampled=False, html=_page(reason, {}, ""))
    old, new = (
        comparable(frame, columns, maximum_rows=policy.maximum_rows) for frame in (reference, current)
    )
    sampled = max(rows) > policy.maximum_rows
    per_column, drawing = _compare(old, new, columns)
    drifted = [name for name, figures in per_column.items() if figures["drifted"]]
    share = len(drifted) / len(columns)
    reason = f"{len(drifted)} of {len(columns)} columns drifted" + ": " * bool(drifted) + ", ".join(drifted)
    looked = f"a fixed random sample of at most {policy.maximum_rows:,}" if sampled else "all"
    note = f"{reason}. Looked at {looked} of {rows[0]:,} reference rows and {rows[1]:,} current rows."
    outcome: DriftOutcome = "drift" if share >= policy.columns_share else "no_drift"
    page = _page(note, per_column, drawing)
    return Drift(outcome, reason, share, per_column, *rows, sampled=sampled, html=page)


def _compare(
    old: pd.DataFrame, new: pd.DataFrame, columns: Sequence[Column]
) -> tuple[dict[str, dict[str, Any]], str]:
    both = [c for c in columns if old[c.name].notna().any() and new[c.name].notna().any()]
    thresholds = {c.name: _threshold(old[c.name].dropna(), new[c.name].dropna(), c) for c in both}
    distances, drawing = _evidently(old, new, both, thresholds) if both else ({}, "")
    per_column: dict[str, dict[str, Any]] = {}
    for column in columns:
        figures = {
            "distance": distances.get(column.name),
            "threshold": thresholds.get(column.name),
            "unusable_reference": float(old[column.name].isna().mean()),
            "unusable_current": float(new[column.name].isna().mean()),
        }
        reason = _reason(figures)
        per_column[column.name] = {"drifted": reason is not None, "reason": reason} | figures
    return per_column, drawing


def _evidently(
    old: pd.DataFrame, new: pd.DataFrame, columns: Sequence[Column], thresholds: dict[str, float]
) -> tuple[dict[str, float | None], str]:
    names = [column.name for column in columns]
    numbers = [column.name for column in columns if column.dtype in NUMBERS]
    definition = DataDefinition(
        numerical_columns=numbers, categorical_columns=[name for name in names if name not in numbers]
    )
    preset = DataDriftPreset(
        columns=names,
        num_method="wasserstein",
        cat_method="jensenshannon",
        per_column_threshold=thresholds,
        include_tests=False,
    )
    frames = [Dataset.from_pandas(frame[names], definition) for frame in (new, old)]
    snapshot = Report([preset]).run(*frames)
    values = {
        metric["config"]["column"]: float(metric["value"])
        for metric in snapshot.dict()["metrics"]
        if metric["config"]["type"].endswith(":ValueDrift")
    }
    finite = {name: value if np.isfinite(value) else None for name, value in values.items()}
    return finite, snapshot.get_html_str(as_iframe=False)


def _threshold(old: pd.Series, new: pd.Series, column: Column) -> float:
    """Return 0.1, or what random splits of all the values into two such samples reach if that is more."""
    pool = pd.concat([old, new], ignore_index=True)
    is_number = column.dtype in NUMBERS
    values = pool.to_numpy() if is_number else pd.factorize(pool)[0]
    kinds = 0 if is_number else int(values.max()) + 1
    generator = np.random.default_rng(SEED)
    chance = 0.0
    for _ in range(SHUFFLES):
        left, right = np.split(generator.permutation(values), [len(old)])
        if is_number:
            distance = wasserstein_distance(left, right) / max(float(np.std(left)), 0.001)
        else:
            shares = [np.bincount(side, minlength=kinds) / len(side) for side in (left, right)]
            distance = jensenshannon(*shares)
        chance = max(chance, float(distance))
    return max(EFFECT, chance * 1.01)


def _reason(figures: dict[str, Any]) -> str | None:
    before, now = figures["unusable_reference"], figures["unusable_current"]
    if abs(now - before) > UNUSABLE:
        return f"{now:.0%} of the values are missing, infinite or of another type, {before:.0%} were"
    if figures["threshold"] is None:
        return None
    if figures["distance"] is None:
        return "its distance could not be calculated"
    if figures["distance"] >= figures["threshold"]:
        return f"distance {figures['distance']:.3f}, from {figures['threshold']:.3f} on it is drift"
    return None


def _page(note: str, per_column: dict[str, dict[str, Any]], drawing: str) -> str:
    lines = "".join(
        f"<li><b>{escape(name)}</b>: {escape(figures['reason'])}</li>"
        for name, figures in per_column.items()
        if figures["drifted"]
    )
    style = "font-family: sans-serif; margin: 2em"
    ours = f'<section style="{style}"><p>{escape(note)}</p><ul>{lines}</ul></section>'
    if not drawing:
        return f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><body>{ours}</body></html>'
    return drawing.replace("<body>", f"<body>{ours}", 1)
