"""Row by row: what its declared types are, which critical promise it breaks, and who is refused for it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.data.lake import dtypes
from include.data.lake.partition_columns import DAY, PartitionSet
from include.data.validation import expectations, freshness
from include.data.validation.expectations import OF_ROWS, OF_TABLE, Check, make_result
from include.data.validation.results import EXAMPLES, Outcome, severity_of, to_check_result
from include.errors import DataError
from include.partitions import end_of, start_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.declarations import Column

    Array = np.ndarray[Any, Any]

MALFORMED = "_malformed"  # the text of a line that could not be read, null where it could
REASONS = "_reasons"
FAILED = "_failed"


@dataclass(frozen=True)
class CheckedRows:
    """The rows that keep every critical promise in their types, `places` by partition, and the others."""

    outcomes: list[Outcome]
    accepted: pd.DataFrame = field(repr=False)
    places: Array = field(repr=False)
    all_places: Array = field(repr=False)
    refused: RejectedRows = field(repr=False)
    whole: bool  # no declared column is missing


def check_rows(
    frame: pd.DataFrame, columns: Sequence[Column], *, key: Sequence[str], place: PartitionSet
) -> CheckedRows:
    """
    Return which rows of `frame`, numbered from 0, keep what `columns` declare; also what all keep together.

    :raises DataError: if the frame lacks a column that says of which partition a row is, or has one twice
    """
    if not set(place.columns) <= set(frame.columns) or not frame.columns.is_unique:
        forms = {"day": "`day` (YYYY-MM-DD)", "hour": "`hour` (HH)"}
        spoken = "a column " + " and ".join(forms[part] for part in place.columns)
        raise DataError(f"The rows need {spoken} and each column once, not {list(frame.columns)}.")
    places = _places(frame, place)
    typed, outcomes = _typed(frame, columns, place)
    outcomes = _unreadable(frame) + outcomes + _check_partition_window(typed, columns, places, place)
    refused = RejectedRows(len(frame))
    refused.add(outcomes)
    each = expectations.row_checks([column for column in columns if column.name in typed], key)
    together = []
    if set(key) <= set(typed.columns):
        together = expectations.table_checks(key, [*place.by_day()], parts=place.columns)
    found = run_checks(refused.accepted(typed), each + together)
    known = int(refused.mask.sum())
    refused.add(found)
    if refused.mask.sum() > known and not all(outcome.success for _, outcome in found[len(each) :]):
        found[len(each) :] = run_checks(refused.accepted(typed), together)  # without those that go anyway
    return CheckedRows(
        outcomes=outcomes + found + _unexpected_partitions(frame, places, place),
        accepted=refused.accepted(typed),
        places=places[~refused.mask],
        all_places=places,
        refused=refused,
        whole={column.name for column in columns} <= set(typed.columns),
    )


def run_checks(frame: pd.DataFrame, checks: list[Check]) -> list[Outcome]:
    """Check everything once, and what failed again for the rows: naming every row is dear."""
    if frame.empty:
        return []  # Great Expectations passes almost anything of nothing; the volume has its say
    slow = {name: "float64" for name, dtype in frame.dtypes.items() if str(dtype) == "Int64"}
    plain = frame.astype(slow).copy() if slow else frame  # a copy has one block per type; they copy it often
    results = expectations.run_on_frame(plain, checks)
    again = [
        position
        for position, result in enumerate(results)
        if not result.success and checks[position].scope != OF_TABLE and not expectations.exception(result)
    ]
    if again:
        named = expectations.run_on_frame(plain, [checks[position] for position in again], complete=True)
        for position, result in zip(again, named, strict=True):
            results[position] = result
    return list(zip(checks, results, strict=True))


class RejectedRows:
    """The rows that broke a critical promise, and which."""

    def __init__(self, rows: int) -> None:
        self.mask = np.zeros(rows, dtype=bool)
        self.complaints: dict[int, list[tuple[str, str]]] = defaultdict(list)

    def add(self, outcomes: list[Outcome]) -> None:
        """Refuse the rows for which a critical expectation of rows failed."""
        for one, outcome in outcomes:
            rows = outcome.result.get("unexpected_index_list") or []
            if one.scope != OF_ROWS or severity_of(outcome) != "critical" or not rows:
                continue
            self.mask[rows] = True
            name = to_check_result(one, outcome).name
            for row in rows:
                self.complaints[row].append((name, one.failure_message))

    def accepted(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the rows that were not refused."""
        return frame[~self.mask] if self.mask.any() else frame

    def rejected(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the rows that were, as they came, with what they failed and why."""
        found = [self.complaints[int(row)] for row in np.flatnonzero(self.mask)]
        failed = ["; ".join(name for name, _ in complaints) for complaints in found]
        reasons = ["; ".join(told for _, told in complaints) for complaints in found]
        return frame[self.mask].assign(**{FAILED: failed, REASONS: reasons})


def _places(frame: pd.DataFrame, place: PartitionSet) -> Array:
    """Return for each row the position of its partition in `place`, -1 where it is of another."""
    hourly = len(place.columns) > 1
    names = place.partition_of(frame) if hourly else frame[DAY]
    found: Array = pd.Index(list(place.names), dtype=object).get_indexer(pd.Index(names, dtype=object))
    return found


def _failed(rows: Array, values: pd.Series[Any]) -> dict[str, Any]:
    return {
        "element_count": len(values),
        "unexpected_count": len(rows),
        "unexpected_percent": 100 * len(rows) / max(len(values), 1),
        "partial_unexpected_list": [str(value) for value in values.iloc[rows[:EXAMPLES]]],
        "unexpected_index_list": rows.tolist(),
    }


def _unreadable(frame: pd.DataFrame) -> list[Outcome]:
    if MALFORMED not in frame.columns:
        return []
    rows = np.flatnonzero(frame[MALFORMED].notna())
    kind, result = "expect_column_values_to_be_null", _failed(rows, frame[MALFORMED])
    outcome = make_result(kind, MALFORMED, success=not rows.size, result=result)
    return [(Check(None, OF_ROWS, "the line could not be read"), outcome)]


def _typed(
    frame: pd.DataFrame, columns: Sequence[Column], place: PartitionSet
) -> tuple[pd.DataFrame, list[Outcome]]:
    """Return the declared columns and `day` in one block per type, and what was missing or did not fit."""
    values = {part: frame[part].astype(object) for part in place.columns}
    typed, outcomes = coerce_columns(frame, columns)
    return pd.DataFrame(values | typed), outcomes


def coerce_columns(
    frame: pd.DataFrame, columns: Sequence[Column]
) -> tuple[dict[str, pd.Series[Any]], list[Outcome]]:
    """Return the declared columns in their types, null where a value did not fit, and what was wrong."""
    values: dict[str, pd.Series[Any]] = {}
    outcomes = []
    for column in columns:
        if column.name not in frame.columns:
            missing = make_result("expect_column_to_exist", column.name, success=False)
            outcomes.append((Check(None, OF_TABLE, f"there is no column {column.name}"), missing))
            continue
        typed, misfits = dtypes.coerce(frame[column.name], column.dtype)
        values[column.name] = typed if column.dtype != "string" else _nothing_is_null(typed)
        rows = np.flatnonzero(misfits)
        of_type = make_result(
            "expect_column_values_to_be_of_type",
            column.name,
            success=not rows.size,
            result=_failed(rows, frame[column.name]),
            type_=column.dtype,
        )
        outcomes.append((Check(None, OF_ROWS, f"{column.name} is no {column.dtype}"), of_type))
    return values, outcomes


def _nothing_is_null(text: pd.Series[Any]) -> pd.Series[Any]:
    """Return the text with nulls where it is empty: a file of lines cannot tell the two apart either."""
    return text.mask(text == "") if "" in text.to_numpy() else text


def _check_partition_window(
    typed: pd.DataFrame, columns: Sequence[Column], places: Array, place: PartitionSet
) -> list[Outcome]:
    outcomes = []
    for column in columns:
        if column.within is None or column.name not in typed:
            continue
        low, high = freshness.bounds(column.within, places, place.partitions)
        far = freshness.outside(typed[column.name], low, high) & (places >= 0)
        rows = np.flatnonzero(far)
        outcome = make_result(
            "expect_column_values_to_be_between",
            column.name,
            success=not rows.size,
            result=_failed(rows, typed[column.name]),
            severity=column.severity,
            min_value=str(start_of(place.partitions[0]) - column.within),
            max_value=str(end_of(place.partitions[-1]) + column.within),
        )
        told = f"{column.name} is more than {freshness.spoken(column.within)} away from its partition"
        outcomes.append((Check(None, OF_ROWS, told), outcome))
    return outcomes


def _unexpected_partitions(frame: pd.DataFrame, places: Array, place: PartitionSet) -> list[Outcome]:
    """Return whether a row is of an hour that was not asked for; of days, Great Expectations says it."""
    if len(place.columns) == 1:
        return []
    rows = np.flatnonzero(places < 0)
    result = _failed(rows, place.partition_of(frame))
    hours = sorted({name[-2:] for name in place.names})
    outcome = make_result(
        "expect_column_values_to_be_in_set", "hour", success=not rows.size, result=result, value_set=hours
    )
    return [(Check(None, OF_TABLE, "a row is of an hour that was not asked for"), outcome)]
