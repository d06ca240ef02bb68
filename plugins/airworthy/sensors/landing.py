"""Wait until every partition of a run is where it comes from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airworthy import run_context
from airworthy.hooks.lake import LakeHook
from airworthy.hooks.sources import SourceHook
from airworthy.triggers.landing import LandingTrigger
from include import partitions
from include.catalog import catalog
from include.declarations import PostgresSource
from include.errors import AirworthyError, PartitionMissing, ServiceUnavailable

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.partitions import Partition


# A folder is looked into often; somebody's database or service is not asked every few seconds.
POLL = {"file": timedelta(seconds=5), "postgres": timedelta(seconds=30), "http": timedelta(seconds=30)}


class PartitionLandedSensor(BaseOperator):
    """
    Succeed once a dataset's source has all partitions of the run; wait in the triggerer.

    Files have to be there, a service has to have an answer, and upstream of a query has to have passed the
    partition's end.

    Example::

        PartitionLandedSensor(task_id="wait", dataset="flights", patience=timedelta(hours=6))

    :param dataset: a declared dataset
    :param patience: how long to wait before the task fails; with a query, from the end of the partition on
    :param poll_interval: how often to look; by default every 5 s for files, every 30 s for anything else
    """

    def __init__(
        self,
        *,
        dataset: str,
        patience: timedelta,
        poll_interval: timedelta | None = None,
        lake_conn_id: str = LakeHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self.patience = patience
        self.poll_interval = poll_interval
        self.lake_conn_id = lake_conn_id

    def execute(self, context: Context) -> None:
        """Return at once if everything is there, else hand over to the triggerer."""
        dataset = catalog().datasets[self.dataset]
        wanted = run_context.run_partitions(context, dataset.granularity)
        try:
            missing = SourceHook(dataset, self.lake_conn_id).missing(wanted)
        except ServiceUnavailable as error:
            self.log.warning("%s", error)
            missing = wanted
        if missing:
            self._wait(missing)

    def landed(self, context: Context, event: dict[str, Any]) -> None:
        """Fail if the triggerer gave up."""
        if event["hopeless"]:
            raise AirworthyError(event["problem"])
        if event["missing"]:
            raise PartitionMissing(
                f"{self.dataset}: {', '.join(event['missing'][:5])} did not land within {self.patience}. "
                f"Ask who sends it; when it is there ({event['place']}), clear this task. {event['problem']}"
            )

    def _wait(self, missing: list[Partition]) -> None:
        self.log.info("Waiting for %s of %s", partitions.format_key(missing), self.dataset)
        source, patience = catalog().datasets[self.dataset].source, self.patience
        if isinstance(source, PostgresSource):
            patience += max(partitions.end_of(missing[-1]) - datetime.now(UTC), timedelta(0))
        self.defer(
            trigger=LandingTrigger(
                dataset=self.dataset,
                partitions=[partitions.format_partition(one) for one in missing],
                lake_conn_id=self.lake_conn_id,
                poll_interval=(self.poll_interval or POLL[source.kind]).total_seconds(),
                patience=patience.total_seconds(),
            ),
            method_name="landed",
        )
