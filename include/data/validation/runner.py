"""The validation of partitions: types, row checks, split, table checks, history checks, report."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa

from include.data.lake.partition_columns import DAY, HOUR
from include.data.validation.batch import concat_batches
from include.data.validation.checks.rows import (
    MalformedLineCheck,
    type_checks,
    value_checks,
    window_checks,
)
from include.data.validation.checks.tables import (
    MissingDayCheck,
    UnexpectedDayCheck,
    UnexpectedHourCheck,
    table_checks,
)
from include.data.validation.coerce import coerce_batch
from include.data.validation.expectations import (
    TableExpectation,
    declared_expectations,
    run_row_expectations,
)
from include.data.validation.masking import mask_results
from include.data.validation.results import FAILED, REASONS, PartitionReport, merge_results, passed
from include.data.validation.statistics import AcceptedStatistics
from include.declarations import Dataset

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from include.data.validation.batch import Batch
    from include.data.validation.expectations import ExpectationCheck
    from include.data.validation.results import Check, CheckResult
    from include.data.validation.statistics import TableCheck
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

    def value_checks(self, columns: Collection[str]) -> list[Check]:
        """Return the declared checks of the values in these columns."""
        return value_checks([column for column in self.columns if column.name in columns], self.key)

    def row_expectations(self, columns: Collection[str]) -> list[ExpectationCheck]:
        """Return the user's expectations of single rows that name no other columns than these."""
        return [check for check in self._expectations_of(columns) if check.rejects_rows]

    def table_checks(self) -> list[TableCheck]:
        """Return the checks of the accepted rows together."""
        declared = table_checks(self.columns, self.key, self.volume, self.quarantine_limit)
        expectations = [check for check in self.expectations if not check.rejects_rows]
        return declared + [TableExpectation(check) for check in expectations]

    def _expectations_of(self, columns: Collection[str]) -> list[ExpectationCheck]:
        return [check for check in self.expectations if set(check.columns) <= {*columns, DAY, HOUR}]


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
    """The rows of a batch that failed a critical check, with the names of the checks and the reasons."""

    def __init__(self, batch: Batch) -> None:
        self.mask = np.zeros(batch.n_rows, dtype=bool)
        self._first_number = int(batch.numbers[0]) if batch.n_rows else 0
        self._failed_checks: dict[int, list[str]] = defaultdict(list)
        self._reasons: dict[int, list[str]] = defaultdict(list)

    def add(self, results: Iterable[CheckResult]) -> None:
        """Reject the rows for which a critical check of rows failed."""
        for result in results:
            if result.severity != "critical" or result.row_numbers is None:
                continue
            positions = result.row_numbers - self._first_number
            self.mask[positions] = True
            causes = result.row_causes or [""] * len(positions)
            for position, cause in zip(positions.tolist(), causes, strict=True):
                self._failed_checks[position].append(result.name)
                self._reasons[position].append(
                    f"{result.message}: it is {cause}" if cause else result.message
                )

    def accepted(self, batch: Batch) -> Batch:
        """Return the rows of the whole batch that were not rejected."""
        return batch.select(~self.mask)

    def rejected(self, batch: Batch) -> Batch:
        """Return the rejected rows of the whole batch, with the columns `_failed` and `_reasons`."""
        rejected = batch.select(self.mask)
        positions = np.flatnonzero(self.mask).tolist()
        failed = ["; ".join(self._failed_checks[position]) for position in positions]
        reasons = ["; ".join(self._reasons[position]) for position in positions]
        rows = rejected.table.append_column(FAILED, pa.array(failed, pa.string()))
        return rejected.with_rows(rows.append_column(REASONS, pa.array(reasons, pa.string())))


@dataclass(frozen=True)
class GateChecks:
    """
    Checks of partitions beside those of the declaration's columns.

    Attributes
    ----------
    rows : sequence of Check
        Further checks of single rows.
    history : sequence of TableCheck
        Checks of the accepted rows against the partitions before and against earlier runs.
    sampled : sequence of str
        Columns of which these checks need a sample.
    """

    rows: Sequence[Check] = ()
    history: Sequence[TableCheck] = ()
    sampled: Sequence[str] = ()


class PartitionValidation:
    """
    The validation of some partitions, one batch of rows after the other.

    In memory are the rows of one batch, the rejected rows, and eight bytes for the key of each accepted row.

    Parameters
    ----------
    rules
        What the declaration requires.
    checks
        Further checks.
    write_accepted
        Function that takes the accepted rows of each batch; None keeps them for the report.
    """

    def __init__(
        self,
        rules: PartitionRules,
        checks: GateChecks,
        write_accepted: Callable[[pa.Table], None] | None = None,
    ) -> None:
        self._rules = rules
        self._checks = checks
        self._write_accepted = write_accepted
        self._declared_checks = rules.table_checks()
        self._statistics: AcceptedStatistics | None = None
        self._results: list[list[CheckResult]] = []
        self._accepted: list[Batch] = []
        self._rejected: list[Batch] = []
        self._n_rows = 0
        self._is_complete = True

    def add(self, batch: Batch) -> None:
        """Validate the rows of a batch."""
        rows = validate_rows(batch, self._rules, self._checks.rows)
        self._results.append([*rows.results, *run_checks([UnexpectedHourCheck()], batch)])
        self._results.append(run_checks([MissingDayCheck(), UnexpectedDayCheck()], rows.accepted))
        self._is_complete = not rows.missing_columns
        self._n_rows += batch.n_rows
        self._add_accepted(rows.accepted)
        for check in self._table_checks():
            check.add(rows.accepted)
        if self._write_accepted is None:
            self._accepted.append(rows.accepted)
        elif self._is_complete:
            self._write_accepted(rows.accepted.table)
        if rows.rejected.n_rows or not self._rejected:
            self._rejected.append(rows.rejected)

    def report(self) -> PartitionReport:
        """
        Return the report of all batches.

        Raises
        ------
        ValueError
            If there was no batch, not even one without rows.
        """
        if self._statistics is None:
            raise ValueError("no batch was validated")
        statistics = self._statistics
        of_tables = [check.result(statistics) for check in self._table_checks()]
        results = [
            *merge_results(self._results),
            *(result for result in of_tables if result is not None),
        ]
        rejected = concat_batches(self._rejected)
        return PartitionReport(
            passed=passed(results),
            rows=self._n_rows,
            results=tuple(mask_results(results, self._rules.columns)),
            accepted_rows=self._n_rows - rejected.n_rows,
            accepted_batches=tuple(self._accepted),
            rejected_batch=rejected,
        )

    def _add_accepted(self, accepted: Batch) -> None:
        if self._statistics is None:
            moments = [column.name for column in self._rules.columns if column.dtype == "timestamp"]
            self._statistics = AcceptedStatistics(accepted, moments, self._checks.sampled)
        self._statistics.add(accepted)

    def _table_checks(self) -> list[TableCheck]:
        """Return the checks of the accepted rows together; without a column, none against history."""
        return [*self._declared_checks, *(self._checks.history if self._is_complete else ())]


def validate_partition(
    batch: Batch, rules: PartitionRules, checks: GateChecks | None = None
) -> PartitionReport:
    """
    Split the rows of a batch into accepted and rejected ones, and decide whether they may be published.

    A row that fails a critical check of rows, or whose line could not be parsed, is rejected. All rows are
    refused if a column is missing or null throughout, a key occurs twice, a partition has too few or too many
    accepted or too many rejected rows, a check could not be run, or a check against history blocks.
    """
    validation = PartitionValidation(rules, checks or GateChecks())
    validation.add(batch)
    return validation.report()


def validate_rows(batch: Batch, rules: PartitionRules, row_checks: Sequence[Check] = ()) -> CheckedRows:
    """
    Take the declared columns in their types, check each row, and split the rows by the results.

    The values of a row that could not be parsed or read are not checked: it has its reason already.
    """
    batch, typed, misfits = coerce_batch(batch, rules.columns)
    rejected = RejectedRows(batch)
    results = [
        *run_checks([MalformedLineCheck(), *type_checks(rules.columns, misfits)], batch),
        *run_checks(window_checks(rules.columns), typed),
    ]
    rejected.add(results)
    readable = rejected.accepted(typed)
    if readable.n_rows:
        value_results = [
            *run_checks([*rules.value_checks(misfits), *row_checks], readable),
            *run_row_expectations(readable, rules.row_expectations(misfits)),
        ]
        rejected.add(value_results)
        results += value_results
    return CheckedRows(
        results=results,
        accepted=rejected.accepted(typed),
        rejected=rejected.rejected(batch),
        missing_columns=[column.name for column in rules.columns if column.name not in misfits],
    )


def run_checks(checks: Sequence[Check], batch: Batch) -> list[CheckResult]:
    """Run checks over a batch, and return the results of those that apply to it, in order."""
    results = [check.run(batch) for check in checks]
    return [result for result in results if result is not None]
