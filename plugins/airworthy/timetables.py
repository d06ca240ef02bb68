"""Timetables of partitions: by the clock for ingestion, by asset events for what follows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pendulum
from pydantic import TypeAdapter

from airflow.partition_mappers.base import PartitionMapper
from airflow.timetables.simple import PartitionedAssetTimetable
from airflow.timetables.trigger import CronPartitionTimetable, CronTriggerTimetable

from airworthy.defaults import START
from include.partitions import FORMAT, HOUR_FORMAT, Availability, hours_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pendulum import DateTime

    from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
    from airflow.utils.types import DagRunType

    from include.declarations import Dataset, FeatureView, UseCase

INCOMPLETE = "incomplete"
_DAYS = CronPartitionTimetable("0 0 * * *", timezone="UTC", key_format=FORMAT)
_HOURS = CronPartitionTimetable("0 * * * *", timezone="UTC", key_format=HOUR_FORMAT)
# Cron expressions of the begin of partitions.
_SCHEDULES = {"hour": "0 * * * *", "day": "0 0 * * *", "week": "0 0 * * 1", "month": "0 0 1 * *"}


class NightTimetable(CronTriggerTimetable):
    """
    Runs by a cron expression, the first time at its next moment.

    Airflow's own runs at once when a DAG with a start date appears: for the moment that has passed.

    Example::

        @dag(schedule=NightTimetable("0 2 * * *", timezone="UTC"))
    """

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the next run; the start date does not count before the first one."""
        if last_automated_data_interval is None and not restriction.catchup:
            restriction = restriction._replace(earliest=None)
        return super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval, restriction=restriction
        )


def schedule_of(use_case: UseCase, stage: str) -> NightTimetable | None:
    """Return the declared schedule of `training` or `monitoring`; None if nothing but a trigger starts it."""
    cron = use_case.schedules.cron(stage, use_case.name)
    return NightTimetable(cron, timezone=use_case.schedules.time_zone) if cron else None


class LandingTimetable(CronPartitionTimetable):
    """
    Runs once for each partition of a dataset, on the last midnight, or full hour, before it is due.

    A backfill has one run for each partition that begins between the first and the last day.

    Example::

        @dag(schedule=LandingTimetable(catalog().datasets["flights"].availability))

    :param availability: when the partitions of the dataset are due
    """

    description = "On the last midnight, or full hour, before a partition is due"

    def __init__(self, availability: Availability) -> None:
        granularity = availability.calendar.granularity
        super().__init__(
            _SCHEDULES[granularity],
            timezone=availability.calendar.time_zone,
            key_format=HOUR_FORMAT if granularity == "hour" else FORMAT,
        )
        self.availability = availability

    def serialize(self) -> dict[str, Any]:
        """Return the arguments as JSON types."""
        arguments: dict[str, Any] = TypeAdapter(Availability).dump_python(self.availability, mode="json")
        return arguments

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> LandingTimetable:
        """Return the timetable that `serialize` described."""
        return cls(TypeAdapter(Availability).validate_python(data))

    def iter_partition_dagrun_infos(self, *, earliest: datetime, latest: datetime) -> Iterable[DagRunInfo]:
        """Return the runs of a backfill: Airflow's, for which a partition is its begin."""
        begins = CronPartitionTimetable(
            self._expression, timezone=self._timezone, key_format=self._key_format
        )
        return begins.iter_partition_dagrun_infos(earliest=earliest, latest=latest)

    def _get_partition_date(self, *, run_date: DateTime) -> DateTime:
        partition = self.availability.newest_run(run_date)
        return _to_pendulum(self.availability.calendar.start_of(partition))

    def _get_next(self, current: DateTime) -> DateTime:
        newest = self.availability.newest_run(current)
        return _to_pendulum(self.availability.run_at(self.availability.calendar.following(newest)))

    def _get_prev(self, current: DateTime) -> DateTime:
        return self._align_to_prev(current.subtract(microseconds=1))

    def _align_to_next(self, current: DateTime) -> DateTime:
        return self._get_next(current.subtract(microseconds=1))

    def _align_to_prev(self, current: DateTime) -> DateTime:
        return _to_pendulum(self.availability.run_at(self.availability.newest_run(current)))


def first_ingestion_date(dataset: Dataset) -> datetime:
    """Return the date of the run for the first partition; `START` if the dataset is read whole."""
    first = dataset.first_partition
    if dataset.whole:
        return START
    return dataset.availability.run_at(hours_of(first)[0] if dataset.granularity == "hour" else first)


def last_ingestion_date(dataset: Dataset) -> datetime | None:
    """Return the date of the run for the last partition; None if there is no last partition."""
    last = dataset.last_partition
    if last is None:
        return None
    return dataset.availability.run_at(hours_of(last)[-1] if dataset.granularity == "hour" else last)


def _to_pendulum(moment: datetime) -> DateTime:
    return pendulum.instance(moment)


class DayMapper(PartitionMapper):
    """Maps the partition of an asset event to itself; incomplete partitions map to none."""

    def to_downstream(self, key: str) -> str | list[str]:
        """Return the key; no key for a partition whose inputs are incomplete."""
        return [] if key.startswith(INCOMPLETE) else key

    def to_partition_date(self, downstream_key: str) -> datetime | None:
        """Return the start of a partition, by which a backfill identifies it; a range has no date."""
        try:
            key_format = HOUR_FORMAT if "T" in downstream_key else FORMAT
            return datetime.strptime(downstream_key, key_format).replace(tzinfo=UTC)
        except ValueError:
            return None


class PublishedPartitionTimetable(PartitionedAssetTimetable):
    """
    Runs once for each partition of its assets' events, never by the clock, and can be backfilled by day.

    Airflow's own `PartitionedAssetTimetable` is not `periodic`, and Airflow backfills only timetables that
    are. A backfill has one run for each day in UTC from the first to the last.

    Example::

        @dag(schedule=PublishedPartitionTimetable(assets=assets.feature_view("flight_features")))

    :param assets: the assets whose partitions start runs
    """

    periodic = True
    description = "When a partition is published; its days can be backfilled"
    # Timetable whose partitions a backfill has.
    partitions = _DAYS

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
        """Return the runs of a backfill: one for each partition from `earliest` to `latest`, inclusive."""
        return self.partitions.iter_partition_dagrun_infos(earliest=earliest, latest=latest)

    def generate_run_id(
        self,
        *,
        run_type: DagRunType,
        run_after: DateTime,
        data_interval: DataInterval | None,
        **extra: object,
    ) -> str:
        """Return an id that contains the partition and is unique among its runs."""
        return self.partitions.generate_run_id(
            run_type=run_type, run_after=run_after, data_interval=data_interval, **extra
        )


class PublishedHourTimetable(PublishedPartitionTimetable):
    """
    Runs once for each hour of its assets' events, never by the clock, and can be backfilled by hour.

    Example::

        @dag(schedule=PublishedHourTimetable(assets=assets.feature_view("airport_weather")))

    :param assets: the assets whose partitions start runs
    """

    description = "When a partition is published; its hours can be backfilled"
    partitions = _HOURS


def published_timetable(view: FeatureView, asset: Any) -> PublishedPartitionTimetable:
    """Return the timetable that runs for each partition of a feature view that `asset` announces."""
    timetable = PublishedHourTimetable if view.granularity == "hour" else PublishedPartitionTimetable
    return timetable(assets=asset)
