"""The gate that every partition passes: evidence first, quarantine second, the verdict last."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from include import partitions
from include.data.quarantine import queue as quarantine
from include.data.quarantine import withdrawal
from include.data.validation import distribution, freshness, gate_results, partition_checks
from include.declarations import Dataset
from include.storage import reports

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from sqlalchemy import Engine

    from include.data.lake.delta_tables import Lake
    from include.data.validation.partition_checks import ExtraCheck, PartitionReport
    from include.data.validation.results import Outcome
    from include.declarations import FeatureView
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
    Validate `frame`, record what was found, and put refused rows into the quarantine table.

    The report says whether the rest may be published; its page lies at `page_path(declared.name, days)`.
    """
    queue = quarantine.Quarantine(declared, lake, engine)
    released = withdrawal.released_keys(queue, days)
    report = partition_checks.validate_partition(
        frame,
        declared.columns,
        key=queue.key,
        volume=declared.volume,
        days=days,
        quarantine_limit=declared.quarantine_limit if isinstance(declared, Dataset) else 0.0,
        further=[*of_history(declared, lake, days), released.check],
    )
    gate_results.record_gate_result(engine, declared.name, run, partitions.format_key(days), report)
    reports.write_report(lake.uri, lake.storage_options, page_path(declared.name, days), report.page())
    if report.passed:
        withdrawal.record_withdrawal(queue, released, report.accepted, days, run)
    quarantine.store_rejected(queue, report, days, run=run)
    return report


def of_history(declared: Dataset | FeatureView, lake: Lake, days: Sequence[Partition]) -> list[ExtraCheck]:
    """Return what a dataset promises of a partition's moments, and of its likeness to those before."""
    if not isinstance(declared, Dataset):
        return []
    checks: list[ExtraCheck] = []
    if (promise := declared.freshness) is not None:

        def fresh(rows: pd.DataFrame, at: Any, days: Sequence[Partition]) -> list[Outcome]:
            return [freshness.fresh(promise, rows[promise.column], at, days)]

        checks.append(fresh)
    if declared.stability is not None:
        past = distribution.read_history(lake, declared, days)
        checks.append(partial(distribution.compare, declared.stability, past))
    return checks


def page_path(subject: str, days: list[Partition]) -> str:
    """Return where the report of a partition lies below the lake's reports."""
    return f"quality/{subject}/{partitions.format_key(days)}.html"
