"""Sensor that waits until the source has all partitions of a run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airworthy import run_context
from airworthy.hooks.lake import LakeHook
from airworthy.hooks.sources import SourceHook
from airworthy.triggers.landing import LandingTrigger
from include.catalog import catalog
from include.declarations import DatabaseSource
from include.errors import AirworthyError, PartitionMissing, ServiceUnavailable
from include.partitions import format_key, format_partition

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.partitions import Partition

# Databases and services of other teams are not queried every few seconds.
POLL_INTERVALS = {
    "file": timedelta(seconds=5),
    "database": timedelta(seconds=30),
    "http": timedelta(seconds=30),
    "custom": timedelta(seconds=30),
}


class PartitionLandedSensor(BaseOperator):
    """
    Succeed when the source of a dataset has all partitions of the run; wait in the triggerer.

    A file must exist, a service must answer with it, and the database of a query must have changes from after
    the end of the partition.

    Example::

        PartitionLandedSensor(task_id="wait", dataset="flights", landing_timeout=timedelta(hours=6))

    :param dataset: a declared dataset
    :param landing_timeout: time after which the task fails, counted from when the last partition is due; of
        a query from its end, if that is later
    :param poll_interval: time between two checks; by default 5 s for files, 30 s for other sources
    """

    def __init__(
        self,
        *,
        dataset: str,
        landing_timeout: timedelta,
        poll_interval: timedelta | None = None,
        lake_conn_id: str = LakeHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self.landing_timeout = landing_timeout
        self.poll_interval = poll_interval
        self.lake_conn_id = lake_conn_id

    def execute(self, context: Context) -> None:
        """Return if the source has all partitions, else defer to the triggerer."""
        dataset = catalog().datasets[self.dataset]
        requested = run_context.declared_partitions(context, dataset)
        try:
            missing = SourceHook(dataset, self.lake_conn_id).missing(requested)
        except ServiceUnavailable as error:
            self.log.warning("%s", error)
            missing = requested
        if missing:
            self._wait(missing)

    def landed(self, context: Context, event: dict[str, Any]) -> None:
        """Raise an error if the triggerer reports one, or partitions that are still missing."""
        if event["permanent"]:
            raise AirworthyError(event["problem"])
        if event["missing"]:
            raise PartitionMissing(
                f"{self.dataset}: {', '.join(event['missing'][:5])} did not land within "
                f"{self.landing_timeout} after it was due. Ask the sender; when it is there "
                f"({event['location']}), clear this task. {event['problem']}"
            )

    def _wait(self, missing: list[Partition]) -> None:
        self.log.info("Waiting for %s of %s", format_key(missing), self.dataset)
        dataset = catalog().datasets[self.dataset]
        source = dataset.source
        due = max(dataset.availability.due_at(partition) for partition in missing)
        if isinstance(source, DatabaseSource):
            due = max(due, dataset.calendar.end_of(missing[-1]))
        timeout = self.landing_timeout + max(due - datetime.now(UTC), timedelta(0))
        self.defer(
            trigger=LandingTrigger(
                dataset=self.dataset,
                partitions=[format_partition(partition) for partition in missing],
                lake_conn_id=self.lake_conn_id,
                poll_interval=(self.poll_interval or POLL_INTERVALS[source.kind]).total_seconds(),
                timeout=timeout.total_seconds(),
            ),
            method_name="landed",
        )
