"""The validation of partitions: coercion, row checks, split, table checks, history checks, report."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np

from include.data.lake.partition_columns import DAY, HOUR
from include.data.validation.checks.rows import (
    MalformedLineCheck,
    type_checks,
    value_checks,
    window_checks,
)
from include.data.validation.checks.tables import UnexpectedHourCheck, table_checks
from include.data.validation.coerce import coerce_batch
from include.data.validation.expectations import declared_expectations, run_expectations
from include.data.validation.masking import mask_results
from include.data.validation.results import FAILED, REASONS, PartitionReport, passed
from include.declarations import Dataset

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from include.data.validation.batch import Batch
    from include.data.validation.expectations import ExpectationCheck
    from include.data.validation.results import Check, CheckResult
    from include.declarations import Column, FeatureView


@dataclass(frozen=True)
class PartitionRules:
    """What a declaration requires of each partition; `expectations` are the user's own."""

    columns: tuple[Column, ...]
    key: tuple[str, ...]
    volume: tuple[int, int]
    quarantine_limit: float = 0.0
    expectations: tuple[ExpectationCheck, ...] = ()

    @classmethod
    def of(cls, declared: Dataset | FeatureView) -> Self:
        """Return the rules of a dataset, or of a feature view, whose key is its entity."""
        return cls(
            declared.columns,
            declared.key if isinstance(declared, Dataset) else declared.keys,
            declared.volume,
            declared.quarantine_limit,
            declared_expectations(declared.expectations),
        )

    def row_expectations(self, columns: Collection[str]) -> list[ExpectationCheck]:
        """Return the expectations of single rows that name no other columns than these."""
        declared = value_checks([column for column in self.columns if column.name in columns], self.key)
        return declared + [check for check in self._expectations_of(columns) if check.rejects_rows]

    def table_expectations(self, columns: Collection[str]) -> list[ExpectationCheck]:
        """Return the other expectations of the user that name no other columns than these."""
        return [check for check in self._expectations_of(columns) if not check.rejects_rows]

    def _expectations_of(self, columns: Collection[str]) -> list[ExpectationCheck]:
        return [check for check in self.expectations if set(check.columns) <= {*columns, DAY, HOUR}]

    def table_checks(self) -> list[Check]:
        """Return the checks of the accepted rows together."""
        return table_checks(self.columns, self.key, self.volume, self.quarantine_limit)


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
        Rejected rows with the internal columns of the reader, and the columns `_failed` and `_reasons`.
    missing_columns : list of str
        Declared columns that the rows do not have.
    """

    results: list[CheckResult]
    accepted: Batch = field(repr=False)
    rejected: Batch = field(repr=False)
    missing_columns: list[str]


class RejectedRows:
    """The rows that failed a critical check, with the names of the checks and the reasons."""

    def __init__(self, n_rows: int) -> None:
        self.mask = np.zeros(n_rows, dtype=bool)
        self._failed_checks: dict[int, list[str]] = defaultdict(list)
        self._reasons: dict[int, list[str]] = defaultdict(list)

    def add(self, results: Iterable[CheckResult]) -> None:
        """Reject the rows for which a critical check of rows failed."""
        for result in results:
            if result.severity != "critical" or result.row_numbers is None:
                continue
            self.mask[result.row_numbers] = True
            for number in result.row_numbers.tolist():
                self._failed_checks[number].append(result.name)
                self._reasons[number].append(result.message)

    def accepted(self, batch: Batch) -> Batch:
        """Return the rows of the whole batch that were not rejected."""
        return batch.select(~self.mask)

    def rejected(self, batch: Batch) -> Batch:
        """Return the rejected rows of the whole batch, with the columns `_failed` and `_reasons`."""
        rejected = batch.select(self.mask)
        numbers = np.flatnonzero(self.mask).tolist()
        columns = {
            FAILED: ["; ".join(self._failed_checks[number]) for number in numbers],
            REASONS: ["; ".join(self._reasons[number]) for number in numbers],
        }
        return rejected.with_frame(rejected.frame.assign(**columns))


def validate_partition(
    batch: Batch,
    rules: PartitionRules,
    history_checks: Sequence[Check] = (),
    row_checks: Sequence[Check] = (),
) -> PartitionReport:
    """
    Split the rows of a batch into accepted and rejected ones, and decide whether they may be published.

    A row that fails a critical check of rows, or whose line could not be parsed, is rejected. All rows are
    refused if a column is missing or null throughout, a key occurs twice, a partition has too few or too many
    accepted or too many rejected rows, a check could not be run, or one of `history_checks`, which are about
    the accepted rows, blocks. `row_checks` are further checks of single rows.
    """
    rows = validate_rows(batch, rules, row_checks)
    accepted = rows.accepted.frame
    expectations = rules.table_expectations(accepted.columns)
    results = [
        *rows.results,
        *run_checks([UnexpectedHourCheck()], batch),
        *run_checks(rules.table_checks(), rows.accepted),
        *run_expectations(accepted, expectations if len(accepted) else []),
        *run_checks([] if rows.missing_columns else history_checks, rows.accepted),
    ]
    return PartitionReport(
        passed=passed(results),
        rows=len(batch.frame),
        results=tuple(mask_results(results, rules.columns)),
        accepted_batch=rows.accepted,
        rejected_batch=rows.rejected,
    )


def validate_rows(batch: Batch, rules: PartitionRules, row_checks: Sequence[Check] = ()) -> CheckedRows:
    """
    Take the declared columns in their types, check each row, and split the rows by the results.

    The values of a row that could not be parsed or read are not checked: it has its reason already. All
    checks of values are one call of Great Expectations, which passes almost any empty frame: none is checked.
    """
    columns = rules.columns
    batch, typed, misfits = coerce_batch(batch, columns)
    rejected = RejectedRows(len(batch.frame))
    results = [
        *run_checks([MalformedLineCheck(), *type_checks(columns, misfits)], batch),
        *run_checks(window_checks(columns), typed),
    ]
    rejected.add(results)
    readable = rejected.accepted(typed)
    if not readable.frame.empty:
        value_results = [
            *run_expectations(readable.frame, rules.row_expectations(misfits)),
            *run_checks(row_checks, readable),
        ]
        rejected.add(value_results)
        results += value_results
    return CheckedRows(
        results=results,
        accepted=rejected.accepted(typed),
        rejected=rejected.rejected(batch),
        missing_columns=[column.name for column in columns if column.name not in misfits],
    )


def run_checks(checks: Sequence[Check], batch: Batch) -> list[CheckResult]:
    """Run checks over a batch, and return the results of those that apply to it, in order."""
    results = [check.run(batch) for check in checks]
    return [result for result in results if result is not None]
