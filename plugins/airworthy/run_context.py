"""What a task may know about the run it is part of."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import conf

from include import partitions as names
from include.errors import DataError, ReleaseError

if TYPE_CHECKING:
    from airflow.sdk import Asset, Context

    from include.data.snapshots.snapshot import Snapshot
    from include.declarations import UseCase
    from include.modeling.registry.provenance import Provenance
    from include.partitions import Granularity, Partition


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
    return context["dag_run"].run_type == "backfill"


def is_scheduled(context: Context) -> bool:
    """Return whether nobody asked for the run but the clock."""
    return context["dag_run"].run_type == "scheduled"


def as_of(context: Context, asked: str) -> date | None:
    """Return the day before which a training's data ends: as asked for, of a backfill its own; or None."""
    if asked:
        return date.fromisoformat(asked)
    moment = context["dag_run"].logical_date
    return moment.date() if is_backfill(context) and moment else None


def tags(context: Context, use_case: UseCase, snapshot: Snapshot, made_from: Provenance) -> dict[str, str]:
    """Return what finds the MLflow run of this DAG run again, and what tells a person about it."""
    return attempt_tags(context) | {
        "airworthy.use_case": use_case.name,
        "airworthy.owner": use_case.owner,
        "airworthy.as_of": snapshot.as_of.isoformat(),
        "airworthy.days": "..".join(snapshot.days),
        "airworthy.snapshot": snapshot.digest,
        "airworthy.code_version": made_from.code_version,
        "airworthy.lock_hash": made_from.lock_hash,
    }


def attempt_tags(context: Context) -> dict[str, str]:
    """Return which attempt of which task of which run this is, and the way from MLflow to the DAG run."""
    run, task = context["dag_run"], context["ti"]
    place = (
        f"{conf.get('api', 'base_url', fallback='').rstrip('/')}/dags/{run.dag_id}/runs/{quote(run.run_id)}"
    )
    return {
        "airworthy.dag": run.dag_id,
        "airworthy.run": run.run_id,
        "airworthy.run_type": str(getattr(run.run_type, "value", run.run_type)),
        "airworthy.partition": run.partition_key or "",
        "airworthy.clear_number": str(run.clear_number or 0),
        "airworthy.task": task.task_id,
        "airworthy.map_index": str(task.map_index),
        "airworthy.try": str(task.try_number),
        "mlflow.note.content": f"DAG run [{run.dag_id} {run.run_id}]({place})",
    }


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
    key = first if last in {None, "", first} else f"{first}..{last}"
    names.parse_key(key)  # a mistake is named here
    return key


def run_days(context: Context) -> list[date]:
    """Return the days that the run's partition is, or lies in, oldest first."""
    return names.parse_key(partition_key(context))


def run_partitions(context: Context, granularity: Granularity) -> list[Partition]:
    """
    Return the days, or hours, of the run's partition, oldest first.

    :raises DataError: if one of them has not begun yet
    """
    found = names.parse_partition(partition_key(context), granularity)
    names.require_started(found, datetime.now(UTC))
    return found


def moves_watermark(context: Context) -> bool:
    """Return whether the run goes with time: a backfill, or a bulk run, looks back."""
    return not is_backfill(context) and context["dag_run"].partition_key is not None


def announce_candidate(context: Context, asset: Asset) -> None:
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
    candidates = _candidates(context)
    if not candidates:
        raise ReleaseError("No version to deploy: trigger this DAG with the parameter `version`.")
    return max(candidates)


def requester(context: Context) -> str:
    """Return who wants the version released: whoever triggered this run, or the training that made it."""
    asked = context["dag_run"].triggering_user_name
    return asked or _candidates(context).get(candidate_version(context)) or actor(context)


def _candidates(context: Context) -> dict[int, str]:
    """Return the versions that the asset events announced, and who asked for each."""
    events: list[Any] = [event for found in context["triggering_asset_events"].values() for event in found]
    about = [event.extra for event in events if "version" in (event.extra or {})]
    return {int(extra["version"]): str(extra.get("requested_by") or "") for extra in about}
