"""Delta tables of days or hours: each is there once, whole, and every version can be read again."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from include import partitions
from include.data.lake import dtypes, partition_columns
from include.data.lake.commits import Publication
from include.data.lake.partition_columns import DAY, HOUR, PartitionSet
from include.errors import DataError, PartitionMissing, ServiceUnavailable
from include.storage import filesystem
from include.storage.errors import CONNECTION, with_translated_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import pandas as pd

    from include.partitions import Partition

# Snapshots name old versions, so the log must outlive them; `maintain` decides about the files.
_CONFIGURATION: Mapping[str, str | None] = {
    "delta.logRetentionDuration": "interval 3650 days",
    "delta.setTransactionRetentionDuration": "interval 90 days",  # by then no attempt runs on
}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,80}")


@dataclass(frozen=True, slots=True)
class Lake:
    """Tables below `uri`, a local path or `s3://…`; `connection` is what errors tell people to correct."""

    uri: str
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)
    patience: timedelta = timedelta(minutes=2)
    connection: str = CONNECTION

    @with_translated_errors
    def publish(
        self, table: str, frame: pd.DataFrame, days: Collection[Partition], *, metadata: Mapping[str, str]
    ) -> int:
        """
        Replace exactly these days, or hours, by the rows of `frame`, in one commit; return the version.

        The table is made when it is not there; a column that is new is added, one that lacks is null.

        :raises DataError: if a row is of another partition, a column changed its type, or hours are published
            into a table of days
        :raises StaleAttempt: if a newer try of the run in `metadata` has published them
        :raises ServiceUnavailable: if the store is away, or other writers were quicker for all of `patience`
        """
        place = PartitionSet.of(days)
        strangers = sorted(place.names_in(frame) - {partitions.format_partition(one) for one in days})
        if strangers or not days:
            raise DataError(
                f"{table}: rows of {', '.join(strangers) or 'no day'} among those of "
                f"{place}. Publish each row with its own {place.columns[-1]}."
            )
        publication = Publication(table, str(place), metadata)
        return self._commit_with_retry(
            publication, lambda found: self._replace(publication, found, frame, place)
        )

    @with_translated_errors
    def update(
        self,
        table: str,
        days: Collection[Partition],
        change: Callable[[pd.DataFrame], pd.DataFrame],
        *,
        metadata: Mapping[str, str],
    ) -> int:
        """
        Replace these partitions by what `change` makes of their rows, in one commit; return the version.

        Where another writer was quicker, `change` is called again with what that one wrote: no row is lost.

        :raises PartitionMissing: if there is no such table
        """
        place = PartitionSet.of(days)

        publication = Publication(table, str(place), metadata)

        def attempt(found: DeltaTable | None) -> int:
            opened = found or self._open(table, None)
            return self._replace(publication, opened, change(_rows(table, opened, place, None)), place)

        return self._commit_with_retry(publication, attempt)

    @with_translated_errors
    def counts(self, table: str) -> dict[Partition, int]:
        """Return how many rows each partition has, from the table's log; none if there is no such table."""
        found: dict[Partition, int] = {}
        opened = self._find(table)
        for file in pa.table(opened.get_add_actions(flatten=True)).to_pylist() if opened else []:
            one = partition_columns.partition_from_columns(
                {name: file.get(f"partition.{name}") for name in (DAY, HOUR)}
            )
            found[one] = found.get(one, 0) + file["num_records"]
        return found

    @with_translated_errors
    def read(
        self,
        table: str,
        days: Collection[Partition] | None = None,
        *,
        version: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """
        Return the rows of these days, or hours, or all, at a version, or the newest.

        A day of a table of hours is all of its 24 hours.

        :raises PartitionMissing: if the table or one of the partitions was never published
        :raises DataError: if the version cannot be read, or a column does not exist
        """
        opened = self._open(table, version)
        if columns is not None:
            known = [field.name for field in opened.schema().fields]
            unknown = sorted(set(columns) - set(known))
            if unknown:
                raise DataError(f"{table} has no column {', '.join(unknown)}; it has {', '.join(known)}.")
        if days is None:
            return _rows(table, opened, None, columns)
        place = PartitionSet.of(_finest(opened, days))
        absent = sorted({partitions.format_partition(one) for one in place.partitions} - _names(opened))
        if absent:
            raise PartitionMissing(
                f"{table}: {len(absent)} of {len(place.partitions)} {place.columns[-1]}s are not in the lake "
                f"{self.uri}, the first is {absent[0]}. Run the DAG that publishes {table} for them first."
            )
        return _rows(table, opened, place, columns)

    @with_translated_errors
    def version(self, table: str) -> int | None:
        """Return the newest version, or None if there is no such table."""
        opened = self._find(table)
        return opened.version() if opened else None

    def days(self, table: str, *, version: int | None = None) -> list[date]:
        """Return the days that have rows, of a table of hours in all 24; none if there is no such table."""
        found = self.partitions(table, version=version)
        by_day = [(day, len(list(parts))) for day, parts in groupby(found, partitions.day_of)]
        whole = 24 if found and isinstance(found[0], datetime) else 1
        return [day for day, count in by_day if count == whole]

    @with_translated_errors
    def partitions(self, table: str, *, version: int | None = None) -> list[Partition]:
        """Return the days, or hours, that have rows, in order; none if there is no such table."""
        if version is None and self._find(table) is None:
            return []
        opened = self._open(table, version)
        return sorted({partition_columns.partition_from_columns(values) for values in opened.partitions()})

    @with_translated_errors
    def optimize_and_vacuum(
        self, table: str, retention: timedelta, *, keep_versions: Collection[int] = ()
    ) -> int:
        """
        Compact small files, and delete those that no version of the last `retention` needs.

        So go the files that killed writers left, once they are that old. Versions in `keep_versions`, those
        that snapshots name, stay readable however old they are. Return how many files were deleted.

        :raises ServiceUnavailable: if somebody published what was being compacted
        """
        opened = self._open(table, None)
        try:
            opened.optimize.compact()
            deleted = opened.vacuum(
                int(retention / timedelta(hours=1)),
                dry_run=False,
                enforce_retention_duration=False,
                full=True,
                keep_versions=sorted(keep_versions),
            )
        except CommitFailedError as error:
            raise ServiceUnavailable(
                f"{table} was published to while it was being compacted; nothing is lost. Try again. "
                f"({error})"
            ) from error
        return len(deleted)

    def _commit_with_retry(
        self, publication: Publication, attempt: Callable[[DeltaTable | None], int]
    ) -> int:
        """Commit onto the newest version until nobody else was quicker, or it turns out to be done."""
        tried: list[int] = []

        def once() -> int:
            found = self._find(publication.table)
            if found is not None:
                if tried and (done := publication.committed(found, tried[0])) is not None:
                    return done
                publication.raise_if_superseded(found)
            tried.append(found.version() if found is not None else -1)
            return attempt(found)

        retrying = Retrying(
            retry=retry_if_exception_type((CommitFailedError, _TableAppeared)),
            wait=wait_random_exponential(multiplier=0.05, max=2),
            stop=stop_after_delay(self.patience),
            reraise=True,
        )
        try:
            return retrying(once)
        except (CommitFailedError, _TableAppeared) as error:
            raise ServiceUnavailable(
                f"{publication.table}: {publication.partitions} could not be published within "
                f"{self.patience}, because others write the same. Try again. ({error})"
            ) from error

    def _replace(
        self, publication: Publication, opened: DeltaTable | None, frame: pd.DataFrame, place: PartitionSet
    ) -> int:
        table = publication.table
        known = pa.schema(opened.schema().to_arrow()) if opened else None
        rows = dtypes.to_table(frame.astype(dict.fromkeys(place.columns, object)), known, place.columns)
        if opened is None:
            opened = self._create(table, rows.schema, place.columns)
        elif (found := opened.metadata().partition_columns) != place.columns:
            raise DataError(
                f"{table} is a table of {found[-1]}s: {place} cannot be published into it. Give the "
                f"dataset the partitions it had (`granularity`), or another name."
            )
        write_deltalake(
            opened,
            rows,
            mode="overwrite",
            predicate=place.predicate(),
            schema_mode="merge",
            commit_properties=publication.properties(),
        )
        return int(opened.version())

    def _create(self, table: str, schema: pa.Schema, partition_by: list[str]) -> DeltaTable:
        try:
            return DeltaTable.create(
                self._uri(table),
                schema,
                partition_by=partition_by,
                configuration=_CONFIGURATION,
                storage_options=filesystem.with_timeouts(self.uri, self.storage_options),
            )
        except DeltaError as error:
            if self._find(table) is None:
                raise
            raise _TableAppeared(f"{table} was made by another writer") from error

    def _open(self, table: str, version: int | None) -> DeltaTable:
        opened = self._find(table)
        if opened is None:
            raise PartitionMissing(
                f"There is no table {table} in the lake {self.uri}. Run the DAG that publishes it first."
            )
        if version is not None:
            try:
                opened.load_as_version(version)
            except DeltaError as error:
                raise DataError(
                    f"Version {version} of {table} cannot be read; the newest is {opened.version()}. "
                    f"Name a version that exists and was not cleaned up. ({error})"
                ) from error
        return opened

    def _find(self, table: str) -> DeltaTable | None:
        try:
            options = filesystem.with_timeouts(self.uri, self.storage_options)
            return DeltaTable(self._uri(table), storage_options=options)
        except TableNotFoundError:
            return None

    def _uri(self, table: str) -> str:
        if not _NAME.fullmatch(table):
            raise DataError(f"{table!r} is no table's name: use lower-case letters, digits and underscores.")
        return f"{self.uri.rstrip('/')}/{table}"


class _TableAppeared(Exception):
    """Another writer made the table in the meantime: begin again, with its schema."""


def _rows(
    table: str, opened: DeltaTable, place: PartitionSet | None, columns: Sequence[str] | None
) -> pd.DataFrame:
    if place is not None and not place.partitions:
        empty = pa.schema(opened.schema().to_arrow()).empty_table()
        return dtypes.to_frame(empty.select(columns) if columns is not None else empty)
    of_days = [(DAY, "in", list(place.by_day()))] if place else None
    dataset = opened.to_pyarrow_dataset(file_pruning_predicate=of_days)
    try:
        rows = dataset.to_table(
            columns=None if columns is None else list(columns), filter=place.expression() if place else None
        )
    except FileNotFoundError as error:
        raise DataError(
            f"Version {opened.version()} of {table} cannot be read, since its files were cleaned up. "
            "Name a newer version, or keep versions for longer."
        ) from error
    return dtypes.to_frame(rows)


def _names(opened: DeltaTable) -> set[str]:
    return {
        partitions.format_partition(partition_columns.partition_from_columns(values))
        for values in opened.partitions()
    }


def _finest(opened: DeltaTable, days: Collection[Partition]) -> list[Partition]:
    """Return the partitions as the table has them: in a table of hours, a day is its 24."""
    if opened.metadata().partition_columns == [DAY]:
        return list(days)
    return [
        hour for one in days for hour in ([one] if isinstance(one, datetime) else partitions.hours_of(one))
    ]
