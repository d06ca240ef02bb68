"""How far upstream's changes were taken: kept in the state of a dataset's asset, moved forward only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airworthy import assets, run_context
from include import partitions

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.data.lake.delta_tables import Lake
    from include.declarations import Dataset

KEY = "watermark"


def pending_changes(context: Context, dataset: Dataset, source: Any, lake: Lake) -> dict[str, Any] | None:
    """
    Return upstream's `watermark` and the names of the earlier partitions that it changed, `late`.

    None where nothing is watched, and for a run that looks back.
    """
    if dataset.watermark is None or not run_context.moves_watermark(context):
        return None
    since = context["asset_state_store"][assets.dataset(dataset.name)].get(KEY)
    current = run_context.run_partitions(context, dataset.granularity)[-1]
    found = source.changes(dataset, since, current, lake.partitions(dataset.name))
    return {"watermark": found.watermark, "late": [partitions.format_partition(one) for one in found.late]}


def plan_late_runs(found: dict[str, Any] | None) -> list[dict[str, Any]]:
    """
    Return the runs that take changed partitions again, one for each stretch of them.

    Each passes the gate by itself, so that a bad change of long ago holds up nothing of today. Their ids say
    which change they are for: asked for again, they are there already.
    """
    if found is None:
        return []
    late = partitions.contiguous_ranges(one for name in found["late"] for one in _parse(name))
    return [
        {
            "trigger_run_id": f"late__{partitions.format_key(stretch)}__{found['watermark']}",
            "conf": {
                "first": partitions.format_partition(stretch[0]),
                "last": partitions.format_partition(stretch[-1]),
            },
        }
        for stretch in late
    ]


def advance(context: Context, dataset: str, found: dict[str, Any] | None) -> None:
    """Remember the watermark that was found, unless a later one is known already."""
    from include.data.sources.postgres import is_later

    if found is None or found["watermark"] is None:
        return
    state: Any = context["asset_state_store"][assets.dataset(dataset)]
    if is_later(found["watermark"], state.get(KEY)):
        state.set(KEY, found["watermark"])


def _parse(name: str) -> list[partitions.Partition]:
    return partitions.parse_partition(name, "hour" if "T" in name else "day")
