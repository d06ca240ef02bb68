"""The gate that every partition passes: evidence first, quarantine second, the verdict last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include import partitions
from include.data import evidence, quality, reports
from include.declarations import Dataset

if TYPE_CHECKING:
    from datetime import date

    import pandas as pd
    from sqlalchemy import Engine

    from include.data.lake import Lake
    from include.data.quality import Report
    from include.declarations import FeatureView


def admit(
    declared: Dataset | FeatureView,
    frame: pd.DataFrame,
    days: list[date],
    *,
    lake: Lake,
    engine: Engine,
    run: str,
) -> Report:
    """
    Validate `frame`, record what was found, and put refused rows into the quarantine table.

    The report says whether the rest may be published; its page lies at `page_path(declared.name, days)`.
    """
    if isinstance(declared, Dataset):
        key, limit = declared.key, declared.quarantine_limit
    else:
        key, limit = (declared.entity,), 0.0
    report = quality.validate(
        frame, declared.columns, key=key, volume=declared.volume, days=days, quarantine_limit=limit
    )
    evidence.record(engine, declared.name, run, partitions.key(days), report)
    reports.write(lake.uri, lake.storage_options, page_path(declared.name, days), report.page())
    lake.quarantine(declared.name, report.quarantined, days, metadata={"run": run})
    return report


def page_path(subject: str, days: list[date]) -> str:
    """Return where the report of a partition lies below the lake's reports."""
    return f"quality/{subject}/{partitions.key(days)}.html"
