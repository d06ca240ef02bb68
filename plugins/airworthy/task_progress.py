"""Progress of the running task in Airflow's task state store, from which the page of its model reads it."""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowRuntimeError

from include.storage.progress import REPORTER

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.execution_time.context import TaskStateStoreAccessor

    from include.storage.progress import ProgressReport

log = logging.getLogger(__name__)
KEY = "progress"
# Airflow deletes it with the DAG run, or when its state store is cleaned up after this time.
RETENTION = timedelta(days=1)


class TaskProgress:
    """Store the reports of a task, the newest over the one before; after an error no more of them."""

    def __init__(self, store: TaskStateStoreAccessor) -> None:
        self._store: TaskStateStoreAccessor | None = store

    def __call__(self, report: ProgressReport) -> None:
        """Store a report."""
        if self._store is None:
            return
        try:
            self._store.set(KEY, asdict(report), retention=RETENTION)
        except AirflowRuntimeError as error:
            self._store = None
            log.warning("The page of the model does not show the progress of this task: %s", error)


def follow_progress(context: Context) -> None:
    """Store the progress of the task that begins."""
    REPORTER.set(TaskProgress(context["task_state_store"]))
