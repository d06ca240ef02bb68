"""Facts about the DAG run of a task: keys, actor, partitions, and the version to deploy."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import conf

from include import partitions
from include.declarations.experiments import Experiment
from include.errors import DataError, ReleaseError
from include.modeling.registry.run_keys import EXPERIMENT

if TYPE_CHECKING:
    from airflow.sdk import Asset, Context

    from include.data.snapshots.snapshot import Snapshot
    from include.declarations import Dataset, FeatureView, UseCase
    from include.modeling.registry.provenance import Provenance
    from include.partitions import Calendar, Partition

# MLflow's limit.
MAX_TAG_LENGTH = 5_000


def dag_run_key(context: Context) -> str:
    """Return `<dag>/<run>`, which is the same for every try."""
    run = context["dag_run"]
    return f"{run.dag_id}/{run.run_id}"


def attempt_key(context: Context) -> str:
    """Return `<dag>/<run>/<try>`."""
    return f"{dag_run_key(context)}/{context['ti'].try_number}"


def has_retries(context: Context) -> bool:
    """Return whether a task that fails now is tried again."""
    ti = context["ti"]
    return bool(ti.try_number <= ti.max_tries)


def actor(context: Context) -> str:
    """Return the person who triggered the run, or the DAG that did."""
    run = context["dag_run"]
    return run.triggering_user_name or f"airflow:{run.dag_id}"


def failed_tasks(context: Context) -> list[str]:
    """Return the tasks of the run that failed themselves, in alphabetical order."""
    run = context["dag_run"]
    states = context["ti"].get_task_states(dag_id=run.dag_id, run_ids=[run.run_id]).get(run.run_id, {})
    return sorted(task for task, state in states.items() if state == "failed")


def is_backfill(context: Context) -> bool:
    """Return whether the run belongs to a backfill, which must not change the present."""
    return context["dag_run"].run_type == "backfill"


def is_scheduled(context: Context) -> bool:
    """Return whether the run was started by its schedule."""
    return context["dag_run"].run_type == "scheduled"


def moment(context: Context) -> datetime:
    """Return the moment that the run is about, the same for every try: its data interval's end."""
    run = context["dag_run"]
    end = getattr(run, "data_interval_end", None) or run.logical_date or run.run_after
    return datetime.fromtimestamp(end.timestamp(), UTC)


def experiment(context: Context) -> Experiment | None:
    """
    Return what the run changes of the declaration as an experiment; None if it is none.

    :raises DeclarationError: if the run has such changes, but is no experiment
    """
    return Experiment.of(context["params"])


def as_of(context: Context, requested: str) -> date | None:
    """
    Return the day before which the training data ends, or None for the newest data.

    It is `requested` (ISO 8601) unless empty; for a backfill the day of its logical date.
    """
    if requested:
        return date.fromisoformat(requested)
    moment = context["dag_run"].logical_date
    return moment.date() if is_backfill(context) and moment else None


def tags(context: Context, use_case: UseCase, snapshot: Snapshot, made_from: Provenance) -> dict[str, str]:
    """Return the tags of the MLflow run: those of the attempt, and what the model is trained from."""
    changes = experiment(context)
    experiment_tags = {EXPERIMENT: changes.to_json()} if changes else {}
    reason = training_reason(context)
    reason_tags = {"airworthy.reason": reason[:MAX_TAG_LENGTH]} if reason else {}
    return (
        attempt_tags(context)
        | experiment_tags
        | reason_tags
        | {
            "airworthy.use_case": use_case.name,
            "airworthy.owner": use_case.owner,
            "airworthy.as_of": snapshot.as_of.isoformat(),
            "airworthy.days": "..".join(snapshot.days),
            "airworthy.features": json.dumps(use_case.features)[:MAX_TAG_LENGTH],
            "airworthy.snapshot": snapshot.digest,
            "airworthy.code_version": made_from.code_version,
            "airworthy.lock_hash": made_from.lock_hash,
        }
    )


def training_reason(context: Context) -> str:
    """Return why a training was started, by monitoring or a person; empty for the nightly one."""
    return str(context["params"].get("reason") or "")


def attempt_tags(context: Context) -> dict[str, str]:
    """Return MLflow tags that identify the attempt of the task, and a link to the DAG run as the note."""
    run = context["dag_run"]
    task = context["ti"]
    base_url = conf.get("api", "base_url", fallback="").rstrip("/")
    run_url = f"{base_url}/dags/{run.dag_id}/runs/{quote(run.run_id)}"
    return {
        "airworthy.dag": run.dag_id,
        "airworthy.run": run.run_id,
        "airworthy.run_type": str(getattr(run.run_type, "value", run.run_type)),
        "airworthy.partition": run.partition_key or "",
        "airworthy.clear_number": str(run.clear_number or 0),
        "airworthy.task": task.task_id,
        "airworthy.map_index": str(task.map_index),
        "airworthy.try": str(task.try_number),
        "mlflow.note.content": f"DAG run [{run.dag_id} {run.run_id}]({run_url})",
    }


def partition_key(context: Context) -> str:
    """
    Return the run's partition key, or `<first>..<last>` from the parameters of a bulk run.

    :raises DataError: if the run has neither, or the key is not valid
    """
    run_partition = context["dag_run"].partition_key
    if run_partition:
        return run_partition
    first = context["params"].get("first")
    last = context["params"].get("last")
    if not first:
        raise DataError(
            "This run has no partition. Trigger it with `first` and `last`, or backfill the days."
        )
    key = first if last in {None, "", first} else f"{first}..{last}"
    # Raises DataError for an invalid parameter.
    partitions.parse_key(key)
    return key


def run_days(context: Context) -> list[date]:
    """Return the days of the run's partition, or the day of its hour, oldest first."""
    return partitions.parse_key(partition_key(context))


def run_partitions(context: Context, calendar: Calendar) -> list[Partition]:
    """
    Return the partitions of the run, oldest first.

    :raises DataError: if one of them has not started yet
    """
    selected = calendar.parse(partition_key(context))
    calendar.require_started(selected, datetime.now(UTC))
    return selected


def declared_partitions(context: Context, declared: Dataset | FeatureView) -> list[Partition]:
    """
    Return the partitions of the run in the granularity of a dataset or feature view, oldest first.

    :raises DataError: if one of them has not started yet, and is not waited for before its start
    """
    selected = declared.calendar.parse(partition_key(context))
    declared.availability.require_open(selected, datetime.now(UTC))
    return selected


def moves_watermark(context: Context) -> bool:
    """Return whether the run advances watermarks; backfills and bulk runs do not."""
    return not is_backfill(context) and context["dag_run"].partition_key is not None


def announce_partitions(context: Context, asset: Asset) -> None:
    """Add the partitions of a bulk run to the event of `asset`; Airflow adds those of other runs itself."""
    if context["dag_run"].partition_key is None:
        context["outlet_events"][asset].add_partitions(partition_key(context))


def candidate_version(context: Context) -> int:
    """
    Return the version to deploy: the parameter `version`, or the newest of the triggering asset events.

    :raises ReleaseError: if neither names a version
    """
    version = context["params"].get("version")
    if version:
        return int(version)
    candidates = _announced_candidates(context)
    if not candidates:
        raise ReleaseError("No version to deploy: trigger this DAG with the parameter `version`.")
    return max(candidates)


def requester(context: Context) -> str:
    """Return who requested the release: the user who triggered this run or its training, else the DAG."""
    user = context["dag_run"].triggering_user_name
    if user:
        return user
    return _announced_candidates(context).get(candidate_version(context)) or actor(context)


def _announced_candidates(context: Context) -> dict[int, str]:
    """Return the versions of the triggering asset events, each with the user who requested it, or ''."""
    candidates: dict[int, str] = {}
    for events in context["triggering_asset_events"].values():
        for event in events:
            extra: dict[str, Any] = event.extra or {}
            if "version" in extra:
                candidates[int(extra["version"])] = str(extra.get("requested_by") or "")
    return candidates
