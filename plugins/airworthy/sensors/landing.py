"""Wait until every file of a partition has landed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airworthy import runs
from airworthy.hooks.lake import LakeHook
from airworthy.triggers.landing import LandingTrigger
from include.catalog import catalog
from include.errors import PartitionMissing

if TYPE_CHECKING:
    from datetime import date

    from airflow.sdk import Context


class PartitionLandedSensor(BaseOperator):
    """
    Succeed once the landing folder holds the dataset's files for all days of the run; wait in the triggerer.

    Example::

        PartitionLandedSensor(task_id="wait", dataset="flights", patience=timedelta(hours=6))

    :param dataset: a declared dataset
    :param patience: how long to wait before the task fails
    """

    def __init__(
        self,
        *,
        dataset: str,
        patience: timedelta,
        poll_interval: timedelta = timedelta(seconds=5),
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
        missing = self._missing(runs.days(context))
        if missing:
            self.log.info("Waiting for %s of %s", ", ".join(map(str, missing[:5])), self.dataset)
            self.defer(
                trigger=LandingTrigger(
                    dataset=self.dataset,
                    days=[str(day) for day in missing],
                    lake_conn_id=self.lake_conn_id,
                    poll_interval=self.poll_interval.total_seconds(),
                    patience=self.patience.total_seconds(),
                ),
                method_name="landed",
            )

    def landed(self, context: Context, event: dict[str, Any]) -> None:
        """Fail if the triggerer gave up."""
        if event["missing"]:
            raise PartitionMissing(
                f"{self.dataset}: {', '.join(event['missing'][:5])} did not land within {self.patience}. "
                f"Ask who sends it; when the file is there ({event['path']}), clear this task."
            )

    def _missing(self, days: list[date]) -> list[date]:
        return LakeHook(self.lake_conn_id).landing.missing(catalog().datasets[self.dataset], days)
