"""The quality gate: validates partitions, records the evidence, and quarantines rejected rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include import partitions
from include.data.quarantine import queue as quarantine
from include.data.quarantine import withdrawal
from include.data.validation import gate_results
from include.data.validation.batch import Batch
from include.data.validation.checks.foreign_keys import foreign_key_checks
from include.data.validation.checks.freshness import FreshnessCheck
from include.data.validation.checks.stability import read_history, stability_checks
from include.data.validation.page import render_quality_page
from include.data.validation.runner import PartitionRules, validate_partition
from include.storage import reports

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from sqlalchemy import Engine

    from include.data.lake.delta_tables import Lake
    from include.data.validation.results import Check, PartitionReport
    from include.declarations import Dataset, FeatureView
    from include.partitions import Partition


def run_quality_gate(
    declared: Dataset | FeatureView,
    frame: pd.DataFrame,
    days: list[Partition],
    *,
    lake: Lake,
    engine: Engine,
    run: str,
) -> PartitionReport:
    """
    Validate rows against their declaration; write the evidence first, then the quarantine, then the verdict.

    A run that was killed anywhere may run again.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows (n, columns) with their partition in the column `DAY`, of an hourly dataset in `HOUR`, too.
    days : list of Partition
        Partitions of the run.
    run : str
        DAG run and try.

    Returns
    -------
    PartitionReport
        Accepted and rejected rows, and whether the accepted ones may be published. The page of the results is
        at `page_path(declared.name, days)`.
    """
    queue = quarantine.Quarantine(declared, lake, engine)
    released = withdrawal.released_keys(queue, days)
    checks = [*history_checks(declared, lake, days), *released.checks()]
    batch = Batch.of(frame, days, declared.calendar)
    row_checks = foreign_key_checks(declared, lake)
    report = validate_partition(batch, PartitionRules.of(declared), checks, row_checks)
    gate_results.record_gate_result(engine, declared.name, run, partitions.format_key(days), report)
    page = render_quality_page(report, declared.name)
    reports.write_report(lake.uri, lake.storage_options, page_path(declared.name, days), page)
    if report.passed:
        withdrawal.record_withdrawal(queue, released, report.accepted_batch, run)
    quarantine.store_rejected(queue, report, days, run=run)
    return report


def history_checks(declared: Dataset | FeatureView, lake: Lake, days: Sequence[Partition]) -> list[Check]:
    """Return the declared checks of freshness, and of likeness to the partitions before."""
    checks: list[Check] = []
    if declared.freshness is not None:
        checks.append(FreshnessCheck(declared.freshness))
    if declared.stability is not None:
        checks += stability_checks(declared.stability, read_history(lake, declared, days))
    return checks


def page_path(subject: str, days: list[Partition]) -> str:
    """Return the path of the page of a partition below the lake's reports."""
    return f"quality/{subject}/{partitions.format_key(days)}.html"
