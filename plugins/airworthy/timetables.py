"""When a DAG runs that follows published partitions, and for which days it can be backfilled."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any

from airflow.partition_mappers.base import PartitionMapper
from airflow.timetables.simple import PartitionedAssetTimetable
from airflow.timetables.trigger import CronPartitionTimetable

from include.partitions import FORMAT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pendulum import DateTime

    from airflow.timetables.base import DagRunInfo, DataInterval
    from airflow.utils.types import DagRunType

INCOMPLETE = "incomplete"
_DAYS = CronPartitionTimetable("0 0 * * *", timezone="UTC", key_format=FORMAT)


class DayMapper(PartitionMapper):
    """Hands on the partition that an asset event names, dates a day, and drops what is incomplete."""

    def to_downstream(self, key: str) -> str | list[str]:
        """Return the key; none for a partition that lacks some of its inputs."""
        return [] if key.startswith(INCOMPLETE) else key

    def to_partition_date(self, downstream_key: str) -> datetime | None:
        """Return the start of a day, by which a backfill knows it again; a range has no date."""
        try:
            return datetime.combine(date.fromisoformat(downstream_key), time(), UTC)
        except ValueError:
            return None


class PublishedPartitionTimetable(PartitionedAssetTimetable):
    """
    Runs once for every partition that its assets announce, never by the clock, and can be backfilled by day.

    Airflow's own `PartitionedAssetTimetable` runs alike, but is not `periodic`, and Airflow backfills only
    what is: the days of a backfill are those of the clock, in UTC, from the first to the last.

    Example::

        @dag(schedule=PublishedPartitionTimetable(assets=assets.feature_view("flight_features")))

    :param assets: the assets whose partitions are followed
    """

    periodic = True
    description = "When a partition is published; its days can be backfilled"

    def __init__(
        self,
        *,
        assets: Any,
        partition_mapper_config: dict[Any, PartitionMapper] | None = None,
        default_partition_mapper: PartitionMapper | None = None,
    ) -> None:
        super().__init__(
            assets=assets,
            partition_mapper_config=partition_mapper_config,
            default_partition_mapper=default_partition_mapper or DayMapper(),
        )

    def iter_partition_dagrun_infos(self, *, earliest: datetime, latest: datetime) -> Iterable[DagRunInfo]:
        """Return every day from `earliest` to `latest`, both included: what a backfill makes."""
        return _DAYS.iter_partition_dagrun_infos(earliest=earliest, latest=latest)

    def generate_run_id(
        self,
        *,
        run_type: DagRunType,
        run_after: DateTime,
        data_interval: DataInterval | None,
        **extra: object,
    ) -> str:
        """Return an id that names the partition, and that no earlier run of the same partition has."""
        return _DAYS.generate_run_id(
            run_type=run_type, run_after=run_after, data_interval=data_interval, **extra
        )
