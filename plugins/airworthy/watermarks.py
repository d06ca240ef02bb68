"""Watermarks of queries: up to which change a dataset was read, kept in the state of its asset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airworthy import assets, run_context
from include.partitions import DAYS, HOURS, contiguous_ranges, format_key, format_partition

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.data.lake.delta_tables import Lake
    from include.declarations import Dataset
    from include.partitions import Partition

KEY = "watermark"


def pending_changes(context: Context, dataset: Dataset, source: Any, lake: Lake) -> dict[str, Any] | None:
    """
    Return the `watermark` of a query, and as `late` the names of the earlier partitions that changed.

    Return None for a dataset without a watermark, and for a run of the past.
    """
    if dataset.watermark is None or not run_context.moves_watermark(context):
        return None
    since = context["asset_state_store"][assets.dataset(dataset.name)].get(KEY)
    current = run_context.declared_partitions(context, dataset)[-1]
    changes = source.changes(dataset, since, current, lake.partitions(dataset.name))
    late = [format_partition(partition) for partition in changes.late]
    return {"watermark": changes.watermark, "late": late}


def plan_late_runs(changes: dict[str, Any] | None) -> list[dict[str, Any]]:
    """
    Return the arguments of the runs that ingest changed partitions again, one run for each contiguous range.

    Each run passes the quality gate by itself, so that a bad change of the past does not stop the current
    run. The run id contains the watermark, so that a run is started once for each change.
    """
    if changes is None:
        return []
    late: list[Partition] = []
    for name in changes["late"]:
        # The days that begin weeks or months are not contiguous: each of those has a run.
        late.extend((HOURS if "T" in name else DAYS).parse(name))
    return [
        {
            "trigger_run_id": f"late__{format_key(partitions)}__{changes['watermark']}",
            "conf": {
                "first": format_partition(partitions[0]),
                "last": format_partition(partitions[-1]),
            },
        }
        for partitions in contiguous_ranges(late)
    ]


def advance(context: Context, dataset: str, changes: dict[str, Any] | None) -> None:
    """Store the watermark of `changes`, unless a later one is stored."""
    from include.data.sources.database import is_later

    if changes is None or changes["watermark"] is None:
        return
    state: Any = context["asset_state_store"][assets.dataset(dataset)]
    if is_later(changes["watermark"], state.get(KEY)):
        state.set(KEY, changes["watermark"])
