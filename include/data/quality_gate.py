"""The quality gate: validates partitions, records the evidence, and quarantines rejected rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from include import partitions
from include.data.lake import dtypes
from include.data.lake.partition_columns import PartitionSet
from include.data.quarantine import intake, withdrawal
from include.data.quarantine import queue as quarantine
from include.data.validation import gate_results
from include.data.validation.batch import Batch
from include.data.validation.checks.foreign_keys import foreign_key_checks
from include.data.validation.checks.freshness import FreshnessCheck
from include.data.validation.checks.stability import read_history, stability_checks
from include.data.validation.page import render_quality_page
from include.data.validation.runner import GateChecks, PartitionRules, PartitionValidation
from include.storage import reports
from include.storage.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Engine

    from include.data.lake.delta_tables import Lake
    from include.data.lake.dtypes import RowBatches
    from include.data.validation.results import PartitionReport
    from include.data.validation.statistics import TableCheck
    from include.declarations import Dataset, FeatureView
    from include.partitions import Calendar, Partition


def run_quality_gate(
    declared: Dataset | FeatureView,
    rows: pd.DataFrame | RowBatches,
    days: list[Partition],
    *,
    lake: Lake,
    engine: Engine,
    run: str,
    write_accepted: Callable[[pa.Table], None] | None = None,
) -> PartitionReport:
    """
    Validate rows against their declaration; write the evidence first, then the quarantine, then the verdict.

    A run that was killed anywhere may run again.

    Parameters
    ----------
    rows : pandas.DataFrame or RowBatches
        Rows (n, columns) with their partition in the column `DAY`, of an hourly dataset in `HOUR`, too; a
        staged table is read one batch after the other.
    days : list of Partition
        Partitions of the run.
    run : str
        DAG run and try.
    write_accepted : callable or None
        Function that takes the accepted rows of each batch; None keeps them in the report.

    Returns
    -------
    PartitionReport
        Results and rejected rows, and whether the accepted rows may be published. The page of the results is
        at `page_path(declared.name, days)`.
    """
    queue = quarantine.Quarantine(declared, lake, engine)
    withdrawals = withdrawal.released_keys(queue, days).checks()
    report = validate(declared, rows, days, lake=lake, withdrawals=withdrawals, write_accepted=write_accepted)
    gate_results.record_gate_result(engine, declared.name, run, partitions.format_key(days), report)
    page = render_quality_page(report, declared.name, partitions.format_key(days))
    reports.write_report(lake.uri, lake.storage_options, page_path(declared.name, days), page)
    if report.passed:
        for check in withdrawals:
            withdrawal.record_withdrawal(queue, check, run)
    intake.store_rejected(queue, report, days, run=run)
    return report


def validate(
    declared: Dataset | FeatureView,
    rows: pd.DataFrame | RowBatches,
    days: list[Partition],
    *,
    lake: Lake,
    withdrawals: Sequence[TableCheck] = (),
    write_accepted: Callable[[pa.Table], None] | None = None,
) -> PartitionReport:
    """Validate rows against their declaration and the lake; nothing is recorded."""
    checks = _gate_checks(declared, lake, days, withdrawals)
    validation = PartitionValidation(PartitionRules.of(declared), checks, write_accepted)
    progress = Progress(f"{declared.name}: validated")
    for batch in _batches(rows, days, declared.calendar):
        validation.add(batch)
        progress.advance(batch.n_rows)
    return validation.report()


def accepted_schema(declared: Dataset | FeatureView, days: Sequence[Partition]) -> pa.Schema:
    """Return the schema of the accepted rows: the partition columns, then the declared ones."""
    names = PartitionSet.of(days).columns
    return pa.schema([*((name, pa.string()) for name in names), *dtypes.arrow_schema(declared.columns)])


def _gate_checks(
    declared: Dataset | FeatureView, lake: Lake, days: Sequence[Partition], withdrawals: Sequence[TableCheck]
) -> GateChecks:
    return GateChecks(
        rows=foreign_key_checks(declared, lake),
        history=[*history_checks(declared, lake, days), *withdrawals],
        sampled=declared.stability.columns if declared.stability else (),
    )


def history_checks(
    declared: Dataset | FeatureView, lake: Lake, days: Sequence[Partition]
) -> list[TableCheck]:
    """Return the declared checks of freshness, and of likeness to the partitions before."""
    checks: list[TableCheck] = []
    if declared.freshness is not None:
        checks.append(FreshnessCheck(declared.freshness))
    if declared.stability is not None:
        checks += stability_checks(declared.stability, read_history(lake, declared, days))
    return checks


def page_path(subject: str, days: list[Partition]) -> str:
    """Return the path of the page of a partition below the lake's reports."""
    return f"quality/{subject}/{partitions.format_key(days)}.html"


def _batches(rows: pd.DataFrame | RowBatches, days: list[Partition], calendar: Calendar) -> Iterator[Batch]:
    """Yield the rows in one or more batches, numbered from 0."""
    if isinstance(rows, pd.DataFrame):
        yield Batch.of(rows, days, calendar)
        return
    n_rows = 0
    for batch in rows.batches():
        yield Batch.of(pa.Table.from_batches([batch]), days, calendar, first_number=n_rows)
        n_rows += batch.num_rows
    if not n_rows:
        yield Batch.of(rows.schema.empty_table(), days, calendar)
