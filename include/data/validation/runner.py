"""The validation of partitions: coercion, row checks, split, table checks, history checks, report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from include.data.validation.coerce import coerce_batch
from include.data.validation.expectations import ExpectationCheck, run_expectations
from include.data.validation.results import PartitionReport, passed
from include.data.validation.row_checks import (
    MalformedLineCheck,
    RejectedRows,
    type_checks,
    value_checks,
    window_checks,
)
from include.data.validation.table_checks import UnexpectedHourCheck, table_checks
from include.declarations import Dataset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.data.validation.batch import Batch
    from include.data.validation.results import Check, CheckResult
    from include.declarations import Column, FeatureView


@dataclass(frozen=True)
class PartitionRules:
    """What a declaration requires of each partition."""

    columns: tuple[Column, ...]
    key: tuple[str, ...]
    volume: tuple[int, int]
    quarantine_limit: float = 0.0

    @classmethod
    def of(cls, declared: Dataset | FeatureView) -> Self:
        """Return the rules of a dataset, or of a feature view: its key is its entity, and no row may fail."""
        if isinstance(declared, Dataset):
            return cls(declared.columns, declared.key, declared.volume, declared.quarantine_limit)
        return cls(declared.columns, (declared.entity,), declared.volume)


@dataclass(frozen=True)
class CheckedRows:
    """
    Rows split by the checks of single rows.

    Attributes
    ----------
    results : list of CheckResult
    accepted : Batch
        Accepted rows in their declared types.
    rejected : Batch
        Rejected rows as they came, with the columns `_failed` and `_reasons`.
    columns : list of Column
        Declared columns that the rows have.
    has_all_columns : bool
        Whether no declared column is missing.
    """

    results: list[CheckResult]
    accepted: Batch = field(repr=False)
    rejected: Batch = field(repr=False)
    columns: list[Column]
    has_all_columns: bool


def validate_partition(
    batch: Batch, rules: PartitionRules, history_checks: Sequence[Check] = ()
) -> PartitionReport:
    """
    Split the rows of a batch into accepted and rejected ones, and say whether they may be published.

    A row that fails a critical check of rows, or whose line could not be parsed, is rejected. All rows are
    refused if a column is missing or null throughout, a key occurs twice, a partition has too few or too many
    accepted or too many rejected rows, a check could not be run, or one of `history_checks`, which are about
    the accepted rows, blocks.
    """
    rows = validate_rows(batch, rules.columns, rules.key)
    declared_checks = table_checks(
        rows.columns, rules.key, rules.volume, rules.quarantine_limit, batch.count_rows()
    )
    results = [
        *rows.results,
        *run_checks([UnexpectedHourCheck()], batch),
        *run_checks(declared_checks, rows.accepted),
        *run_checks(history_checks if rows.has_all_columns else (), rows.accepted),
    ]
    return PartitionReport(
        passed=passed(results),
        rows=len(batch.frame),
        results=tuple(results),
        accepted_batch=rows.accepted,
        rejected_batch=rows.rejected,
    )


def validate_rows(batch: Batch, columns: Sequence[Column], key: Sequence[str]) -> CheckedRows:
    """
    Coerce the declared columns, check each row, and split the rows into accepted and rejected ones.

    The values of a row that could not be parsed or coerced are not checked: it has its reason already.
    """
    typed, misfits = coerce_batch(batch, columns)
    existing_columns = [column for column in columns if column.name in misfits]
    results = [
        *run_checks([MalformedLineCheck(), *type_checks(columns, misfits)], batch),
        *run_checks(window_checks(existing_columns), typed),
    ]
    rejected = RejectedRows(len(batch.frame))
    rejected.add(results)
    value_results = run_checks(value_checks(existing_columns, key), rejected.accepted(typed))
    rejected.add(value_results)
    return CheckedRows(
        results=[*results, *value_results],
        accepted=rejected.accepted(typed),
        rejected=rejected.rejected(batch),
        columns=existing_columns,
        has_all_columns=len(existing_columns) == len(columns),
    )


def run_checks(checks: Sequence[Check], batch: Batch) -> list[CheckResult]:
    """
    Run checks over a batch and return their results in order.

    All expectations of Great Expectations run in one call, and none of them over an empty batch: Great
    Expectations passes almost any empty frame, and the check of the volume fails.
    """
    expectations = [check for check in checks if isinstance(check, ExpectationCheck)]
    is_empty = batch.frame.empty
    expected = iter([] if is_empty else run_expectations(batch.frame, expectations))
    results = []
    for check in checks:
        result = next(expected, None) if isinstance(check, ExpectationCheck) else check.run(batch)
        if result is not None:
            results.append(result)
    return results
