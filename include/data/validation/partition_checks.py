"""The gate of every partition: what was declared, checked with Great Expectations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.data.lake.partition_columns import PartitionSet
from include.data.validation import expectations
from include.data.validation.expectations import OF_DAYS, Check, make_result
from include.data.validation.results import Outcome, ValidationResult, passed, to_check_result
from include.data.validation.row_checks import FAILED, MALFORMED, REASONS, check_rows, run_checks
from include.partitions import Partition

if TYPE_CHECKING:
    from include.declarations import Column

__all__ = ["FAILED", "MALFORMED", "REASONS", "ExtraCheck", "PartitionReport", "validate_partition"]

Array = np.ndarray[Any, Any]
ExtraCheck = Callable[[pd.DataFrame, Array, Sequence[Partition]], list[Outcome]]


@dataclass(frozen=True)
class PartitionReport(ValidationResult):
    """What was found in a partition: the rows that may be published, and those that may not."""

    accepted: pd.DataFrame = field(repr=False, default_factory=pd.DataFrame)
    quarantined: pd.DataFrame = field(repr=False, default_factory=pd.DataFrame)

    @property
    def refused(self) -> int:
        """How many rows wait in the quarantine."""
        return len(self.quarantined)

    def as_json(self) -> dict[str, Any]:
        """Return what was found as plain JSON."""
        return super().as_json() | {"accepted": len(self.accepted)}

    def _verdict(self) -> str:
        return f"refused {self.rows:,} rows, nothing was published."

    def _remedy(self) -> str:
        return (
            "Have the source corrected and run the partition again, "
            "or correct the declaration if the data is right."
        )


def validate_partition(
    frame: pd.DataFrame,
    columns: Sequence[Column],
    *,
    key: Sequence[str],
    volume: tuple[int, int],
    days: Sequence[Partition],
    quarantine_limit: float,
    further: Sequence[ExtraCheck] = (),
) -> PartitionReport:
    """
    Return which rows of `frame` keep what `columns` declare, and whether they may be published.

    A row that breaks a critical promise, or whose line could not be read, is quarantined. A partition is
    refused where a column is missing or has nothing but nulls, a key is there twice, it has too few, too many
    or too many bad rows, something could not be checked, or a `further` check of the accepted rows says so.
    `accepted` has `day` (of hours, `hour` too) and the declared columns in their types; `quarantined` the
    rows as they came, with the names of the expectations that they `_failed`, and the `_reasons`.

    :raises DataError: if the frame has no column `day`, or a column twice
    """
    frame = frame if _is_numbered(frame.index) else frame.reset_index(drop=True)
    place = PartitionSet.of(days)
    judged = check_rows(frame, columns, key=key, place=place)
    per_day = _per_day(judged.all_places, judged.refused.mask, place)
    outcomes = judged.outcomes + run_checks(per_day, expectations.day_checks(volume, quarantine_limit))
    outcomes += _nulls(judged.accepted, columns, judged.places, place)
    for check in further if judged.whole else ():
        outcomes += check(judged.accepted, judged.places, place.partitions)
    results = tuple(to_check_result(one, outcome) for one, outcome in outcomes)
    return PartitionReport(
        passed=passed(results),
        rows=len(frame),
        results=results,
        evidence=tuple(outcome for _, outcome in outcomes),
        accepted=judged.accepted,
        quarantined=judged.refused.rejected(frame),
    )


def _is_numbered(index: pd.Index[Any]) -> bool:
    return isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1


def _per_day(places: Array, refused: Array, place: PartitionSet) -> pd.DataFrame:
    size = len(place.partitions)
    rows = np.bincount(places[places >= 0], minlength=size)
    good = np.bincount(places[~refused & (places >= 0)], minlength=size)
    share = (rows - good) / rows.clip(min=1)
    return pd.DataFrame({"rows_per_day": good, "refused_share_per_day": share}, index=list(place.names))


def _nulls(
    accepted: pd.DataFrame, columns: Sequence[Column], places: Array, place: PartitionSet
) -> list[Outcome]:
    """Return of each nullable column whether any partition has more nulls than it may, or nothing else."""
    rows = np.bincount(places[places >= 0], minlength=len(place.partitions))
    outcomes = []
    for column in columns:
        if not column.nullable or column.name not in accepted:
            continue
        empty = accepted[column.name].isna().to_numpy() & (places >= 0)
        nulls = np.bincount(places[empty], minlength=len(rows))
        limit = column.maximum_nulls
        bad = np.flatnonzero((rows > 0) & (nulls == rows if limit is None else nulls > limit * rows))
        told = "has no value but null" if limit is None else f"is null in more than {limit:.1%} of the rows"
        outcome = make_result(
            "expect_column_values_to_not_be_null",
            column.name,
            success=not bad.size,
            result={
                "element_count": len(accepted),
                "unexpected_count": len(bad),
                "partial_unexpected_list": [f"{nulls[at]:,} nulls of {rows[at]:,}" for at in bad],
                "unexpected_index_list": [place.names[at] for at in bad],
            },
            severity=column.severity,
        )
        outcomes.append((Check(None, OF_DAYS, f"{column.name} {told} in a partition"), outcome))
    return outcomes
