"""Ends of MLflow runs: a failed try, and the next one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mlflow import MlflowClient

from include.errors import AirworthyError
from include.modeling.registry.idempotency import translate_mlflow_errors
from include.modeling.registry.tracking import PARENT

if TYPE_CHECKING:
    from include.modeling.registry.tracking import Tracking

FAILED_TASK = "airworthy.failed.task"
FAILED_REASON = "airworthy.failed.reason"
# MLflow's limit of a tag.
MAX_REASON_LENGTH = 5_000
MAX_CHILDREN = 1_000

log = logging.getLogger(__name__)


def fail_run(tracking: Tracking, run_id: str, task: str, error: BaseException) -> None:
    """
    End a run, and its children that still run, as FAILED, with the task and the reason as tags.

    If MLflow cannot be reached, that is logged: the error of the task matters more.
    """
    reason = f"{type(error).__name__}: {error}"[:MAX_REASON_LENGTH]
    try:
        tracking.log(run_id, tags={FAILED_TASK: task, FAILED_REASON: reason})
        for child in _running_children(tracking, run_id):
            tracking.finish(child, "FAILED")
        tracking.finish(run_id, "FAILED")
    except AirworthyError:
        log.warning("The MLflow run %s could not be ended as FAILED.", run_id, exc_info=True)


def reopen_run(tracking: Tracking, run_id: str) -> bool:
    """
    Set a run that an earlier try ended as FAILED back to RUNNING, without the tags of the failure.

    Returns
    -------
    bool
        Whether it had ended as FAILED.
    """
    client = MlflowClient(tracking_uri=tracking.uri)
    with translate_mlflow_errors(tracking.uri):
        run = client.get_run(run_id)
        if run.info.status != "FAILED":
            return False
        for tag in (FAILED_TASK, FAILED_REASON):
            if tag in run.data.tags:
                client.delete_tag(run_id, tag)
        client.update_run(run_id, status="RUNNING")
    return True


def _running_children(tracking: Tracking, run_id: str) -> list[str]:
    client = MlflowClient(tracking_uri=tracking.uri)
    query = f"tags.`{PARENT}` = '{run_id}' AND attributes.status = 'RUNNING'"
    with translate_mlflow_errors(tracking.uri):
        experiment_id = client.get_run(run_id).info.experiment_id
        runs = client.search_runs([experiment_id], query, max_results=MAX_CHILDREN)
    return [run.info.run_id for run in runs]
