"""What a task may know about the run it is part of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from include import partitions
from include.errors import DataError, ReleaseError

if TYPE_CHECKING:
    from datetime import date

    from airflow.sdk import Asset, Context


def run_key(context: Context) -> str:
    """Return `<dag>/<run>`: the same on every try."""
    run = context["dag_run"]
    return f"{run.dag_id}/{run.run_id}"


def attempt_key(context: Context) -> str:
    """Return `<dag>/<run>/<try>`."""
    return f"{run_key(context)}/{context['ti'].try_number}"


def actor(context: Context) -> str:
    """Return the person who triggered the run, or the DAG that did."""
    run = context["dag_run"]
    return run.triggering_user_name or f"airflow:{run.dag_id}"


def is_backfill(context: Context) -> bool:
    """Return whether the run re-creates the past, and must not change the present."""
    return str(context["dag_run"].run_type) in {"backfill", "DagRunType.BACKFILL_JOB"}


def partition_key(context: Context) -> str:
    """
    Return the run's partition key, or the range that a bulk run's `first` and `last` name.

    :raises DataError: if the run names neither
    """
    if key := context["dag_run"].partition_key:
        return key
    first, last = context["params"].get("first"), context["params"].get("last")
    if not first:
        raise DataError(
            "This run has no partition. Trigger it with `first` and `last`, or backfill the days."
        )
    return partitions.key(partitions.days(f"{first}..{last or first}"))


def days(context: Context) -> list[date]:
    """Return the days of the run's partition, oldest first."""
    return partitions.days(partition_key(context))


def announce(context: Context, asset: Asset) -> None:
    """Name the partition of a bulk run on `asset`; that of an ordinary run is known to Airflow already."""
    if context["dag_run"].partition_key is None:
        context["outlet_events"][asset].add_partitions(partition_key(context))


def candidate_version(context: Context) -> int:
    """
    Return the version that the run is about: `version` of its parameters, or of the newest asset event.

    :raises ReleaseError: if neither names one
    """
    if version := context["params"].get("version"):
        return int(version)
    events: list[Any] = [event for found in context["triggering_asset_events"].values() for event in found]
    versions = [int(event.extra["version"]) for event in events if "version" in (event.extra or {})]
    if not versions:
        raise ReleaseError("No version to deploy: trigger this DAG with the parameter `version`.")
    return max(versions)
