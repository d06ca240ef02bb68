"""Drift of the inputs: features that shifted between training rows and current rows, by importance."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from include.data.lake.partition_columns import DAY
from include.errors import DataError
from include.monitoring.comparable_columns import require_unique_names
from include.monitoring.distributions.counts import ColumnCounter, NumberCounts
from include.monitoring.distributions.faults import find_fault
from include.monitoring.distributions.report_page import draw_page, render_verdicts
from include.monitoring.distributions.shifts import MIN_EFFECTS, measure_shifts
from include.monitoring.personal_values import comparable_columns, with_pseudonyms
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from include.declarations import Column, DriftPolicy
    from include.monitoring.distributions.counts import Sides
    from include.monitoring.distributions.shifts import Shift

    ColumnShifts = tuple[Sides, list[Shift]]

DriftOutcome = Literal["drift", "no_drift", "inconclusive"]

# Columns are independent of each other, and NumPy works outside of Python's lock.
N_THREADS = 2
MAX_NAMES = 10
# Figures of a column that could not be compared.
UNMEASURED: dict[str, Any] = {
    "drifted": False, "reason": None, "kinds": [], "distance": None, "p_value": None,
    "unusable_reference": None, "unusable_current": None, "importance": None, "rank": 0.0,
    "verdict": "not compared", "fault": "",
}  # fmt: skip
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Drift:
    """
    Result of a comparison; `share` is the share of drifted columns, `html` a page that shows them.

    `per_column` has for each column `drifted`, `reason`, `kinds` (what shifted), `distance` of the values,
    the smallest `p_value`, the shares of unusable values, `importance` (share of all, None if not known) and
    `rank` (importance times the largest effect that is no coincidence); the largest rank is first. `fault` is
    what looks like a fault of the data (`include.monitoring.distributions.faults`), else empty. It is valid
    JSON. A column that cannot be compared has the `verdict` "not compared" and the error as its reason;
    without drift elsewhere the outcome is inconclusive. `importance_share` is the importance of the drifted
    columns. `sampled` is True if the plots of the page do not show all rows; the figures are always of all
    rows.
    """

    outcome: DriftOutcome
    reason: str
    share: float
    per_column: dict[str, dict[str, Any]]
    rows_reference: int
    rows_current: int
    sampled: bool
    html: str
    importance_share: float = 0.0

    @property
    def faults(self) -> dict[str, str]:
        """What looks like a fault of the data, by the name of the column."""
        return {name: figures["fault"] for name, figures in self.per_column.items() if figures["fault"]}

    @property
    def drifted(self) -> bool:
        """True if there is drift; False also if there were too few rows to decide, see `outcome`."""
        return self.outcome == "drift"


def measure_drift(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    *,
    columns: Sequence[Column],
    policy: DriftPolicy,
    importance: Mapping[str, float] | None = None,
    parts: Iterable[pd.DataFrame] | None = None,
    with_page: bool = True,
) -> Drift:
    """
    Compare all rows of `current`, or of `parts`, with all rows of `reference`, column by column.

    There is drift if the drifted columns have `policy.minimum_importance` of the importance, so that one
    important column suffices, or are `policy.columns_share` of the columns. Timestamps are left out because
    they always drift, and personal values that are not logged; personal text is compared as pseudonyms.

    Parameters
    ----------
    reference
        Training rows with at least `columns`.
    current
        Rows to compare, or a sample of `parts` for the page; a missing column counts as unusable.
    importance
        How much worse the model is without each feature. If none is positive, any drifted column is drift.

    Raises
    ------
    DataError
        If the reference lacks a column, or a frame has two columns with the same name.
    """
    columns = comparable_columns(_select_columns(reference, columns))
    comparable = partial(_with_comparable_values, columns=columns)
    reference = comparable(reference)
    measured, n_current = measure_parts(reference, map(comparable, parts or (current,)), columns)
    rows = len(reference), n_current
    reason = _incomparable(columns, *rows, policy)
    if reason:
        page = render_verdicts(reason, {}, whole_page=True)
        return Drift("inconclusive", reason, 0.0, {}, *rows, sampled=False, html=page)
    judge = partial(judge_columns, may_be_constant=partial(_has_constant_days, reference))
    per_column = judge(measured, policy.false_discovery_rate, importance or {})
    is_drift, important, reason = _judge_inputs(per_column, policy)
    drawn = [column for column in columns if not isinstance(measured[column.name], Exception)]
    note = f"{reason}. Compared all {rows[0]:,} training rows and all {rows[1]:,} current rows."
    draw = partial(draw_page, note=note, per_column=per_column, maximum_rows=policy.maximum_rows)
    page = draw(reference, comparable(current), drawn, n_current=rows[1]) if with_page else ""
    outcome = _outcome(is_drift=is_drift, is_complete=len(drawn) == len(columns))
    figures = (_share_drifted(per_column), per_column, *rows, max(rows) > policy.maximum_rows, page)
    return Drift(outcome, reason, *figures, importance_share=important)


def _outcome(*, is_drift: bool, is_complete: bool) -> DriftOutcome:
    """Return the outcome; columns that were not compared may have drifted."""
    if is_drift:
        return "drift"
    return "no_drift" if is_complete else "inconclusive"


def measure_columns(
    reference: pd.DataFrame, current: pd.DataFrame, columns: Sequence[Column]
) -> dict[str, ColumnShifts | Exception]:
    """Return what `measure_parts` returns of rows that are one part."""
    return measure_parts(reference, [current], columns)[0]


def measure_parts(
    reference: pd.DataFrame, parts: Iterable[pd.DataFrame], columns: Sequence[Column]
) -> tuple[dict[str, ColumnShifts | Exception], int]:
    """
    Return the counts and the shifts of each column, or why it cannot be compared, and the number of rows.

    One part is in memory after the other. A column that a part lacks is missing in all of its rows.
    """
    counters: dict[str, ColumnCounter | Exception] = {}
    measured: dict[str, ColumnShifts | Exception] = {}
    n_rows = 0

    def start(column: Column) -> None:
        with _keep_error(counters, column.name):
            counters[column.name] = ColumnCounter(reference[column.name], column)

    def count(column: Column, part: pd.DataFrame) -> None:
        counter = counters[column.name]
        if not isinstance(counter, Exception):
            absent = pd.Series(np.nan, index=part.index, dtype="float64")
            with _keep_error(counters, column.name):
                counter.add(part.get(column.name, absent))

    def measure(column: Column) -> None:
        counter = counters[column.name]
        if isinstance(counter, Exception):
            measured[column.name] = counter
            return
        with _keep_error(measured, column.name):
            sides = counter.sides()
            measured[column.name] = (sides, measure_shifts(sides, is_text=column.dtype == "string"))

    with ThreadPoolExecutor(N_THREADS) as threads:
        list(threads.map(start, columns))
        for part in parts:
            list(threads.map(partial(count, part=part), columns))
            n_rows += len(part)
        list(threads.map(measure, columns))
    return {column.name: measured[column.name] for column in columns}, n_rows


@contextmanager
def _keep_error(results: dict[str, Any], name: str) -> Iterator[None]:
    """Make an error the result of a column: values of callers must not hide the other columns."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  foreign values
        _log.exception("%s cannot be compared", name)
        results[name] = error


def judge_columns(
    measured: Mapping[str, ColumnShifts | Exception],
    false_discovery_rate: float,
    importance: Mapping[str, float],
    *,
    may_be_constant: Callable[[str], bool] = lambda _: False,
) -> dict[str, dict[str, Any]]:
    """
    Return the figures of each column, see `Drift`; the column that matters most is first.

    A column drifts if one of its shifts is large enough to matter and is no coincidence: of the shifts of all
    columns that are found, the share `false_discovery_rate` is expected to be chance, however the columns
    depend on each other (Benjamini and Yekutieli 2001).
    """
    compared = {name: result for name, result in measured.items() if not isinstance(result, Exception)}
    p_values: list[float] = []
    for _, shifts in compared.values():
        p_values += [shift.p_value for shift in shifts]
    adjusted = iter(false_discovery_control(p_values, method="by") if p_values else ())
    total = sum(max(importance.get(name, 0.0), 0.0) for name in measured)
    per_column = {
        name: UNMEASURED | {"reason": f"cannot be compared: {result}"}
        for name, result in measured.items()
        if isinstance(result, Exception)
    }
    for name, (sides, shifts) in compared.items():
        certain = [shift for shift in shifts if next(adjusted) <= false_discovery_rate and shift.matters]
        weight = max(importance.get(name, 0.0), 0.0) / total if total > 0 else None
        effect = max((shift.effect / MIN_EFFECTS[shift.kind] for shift in certain), default=0.0)
        distance = next((shift.effect for shift in shifts if shift.kind == "values"), None)
        fault = find_fault(sides, certain, may_be_constant=partial(may_be_constant, name))
        descriptions = [_describe_shift(shift, sides) for shift in certain]
        per_column[name] = {
            "drifted": bool(certain),
            "reason": "; ".join([*descriptions, *([fault] if fault else [])]) or None,
            "fault": fault,
            "kinds": [shift.kind for shift in certain],
            "distance": distance,
            "p_value": min(shift.p_value for shift in shifts),
            "unusable_reference": sides.unusable[0] / max(sides.rows[0], 1),
            "unusable_current": sides.unusable[1] / max(sides.rows[1], 1),
            "importance": weight,
            "rank": effect * (1.0 if weight is None else weight),
        }
    return dict(sorted(per_column.items(), key=lambda item: (-item[1]["rank"], not item[1]["drifted"])))


def _has_constant_days(reference: pd.DataFrame, name: str) -> bool:
    """Return whether the column has a single value on one of the days of the training rows."""
    if DAY not in reference:
        return False
    return bool((reference.groupby(DAY)[name].nunique() <= 1).any())


def _select_columns(reference: pd.DataFrame, columns: Sequence[Column]) -> list[Column]:
    """Return the columns to compare; raise DataError if the reference lacks one, or none is left."""
    selected = [column for column in columns if column.dtype != "timestamp"]
    absent = [column.name for column in selected if column.name not in reference]
    if absent or not selected:
        raise DataError(
            f"The reference has no column {', '.join(absent)}. Compare with rows of the snapshot."
        )
    return selected


def _with_comparable_values(frame: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """Return the frame with pseudonyms for personal text; raise DataError if a name stands twice."""
    require_unique_names(frame)
    return with_pseudonyms(frame, columns, settings().pseudonym_key)


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


def _judge_inputs(
    per_column: Mapping[str, Mapping[str, Any]], policy: DriftPolicy
) -> tuple[bool, float, str]:
    """Return whether the inputs drifted, the importance of the drifted columns, and the reason."""
    drifted = {name: figures["importance"] for name, figures in per_column.items() if figures["drifted"]}
    is_known = any(figures["importance"] is not None for figures in per_column.values())
    important = sum(weight or 0.0 for weight in drifted.values())
    is_important = important >= policy.minimum_importance if is_known else True
    is_drift = bool(drifted) and (is_important or _share_drifted(per_column) >= policy.columns_share)
    failed = [name for name, figures in per_column.items() if "verdict" in figures]
    lack = f"; not compared: {', '.join(failed)}" if failed else ""
    reason = f"{len(drifted)} of {len(per_column)} columns drifted{lack}"
    if not drifted:
        return is_drift, important, reason
    names = ", ".join(list(drifted)[:MAX_NAMES])
    more = f" and {len(drifted) - MAX_NAMES} more" if len(drifted) > MAX_NAMES else ""
    weight = f"; they have {important:.0%} of the importance" if is_known else ""
    return is_drift, important, f"{reason}: {names}{more}{weight}"


def _share_drifted(per_column: Mapping[str, Mapping[str, Any]]) -> float:
    return float(np.mean([figures["drifted"] for figures in per_column.values()]))


def _describe_shift(shift: Shift, sides: Sides) -> str:
    if shift.kind == "missing":
        before, now = (part / max(rows, 1) for part, rows in zip(sides.unusable, sides.rows, strict=True))
        return f"{now:.0%} of the values are missing, infinite or of another type, before {before:.0%}"
    if shift.kind == "unseen":
        return (
            f"{shift.effect:.0%} more of the rows than expected have categories that the training rows lack"
        )
    measure = "lengths" if shift.kind == "length" else "values"
    return (
        f"distance of the {measure} {shift.effect:.3f}, drift starts at {MIN_EFFECTS[shift.kind]}"
        f"{_describe_constant(sides) if shift.kind == 'values' else ''}"
    )


def _describe_constant(sides: Sides) -> str:
    """Say so if a column that varied has one value now."""
    counts = sides.counts
    present = np.flatnonzero(counts.current)
    if len(present) != 1 or np.count_nonzero(counts.reference) <= 1:
        return ""
    values = counts.values if isinstance(counts, NumberCounts) else counts.categories
    value = values[present[0]]
    return f"; constant, all values are {value if isinstance(value, str) else format(value, '.6g')}"
