"""Delta tables of days or hours: a partition is replaced in one commit, and versions can be read again."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

import pyarrow as pa
from deltalake import DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

from include.data.lake import dtypes, maintenance, publications, table_reader
from include.data.lake.commits import COMMIT_TIMEOUT, PendingCommit, TableAppeared, commit_with_retry
from include.data.lake.paced_batches import pace
from include.data.lake.partition_columns import HOUR, HOURS_PER_DAY, PartitionSet
from include.errors import DataError, PartitionMissing, ServiceUnavailable, SettingsError
from include.partitions import day_of
from include.storage import filesystem
from include.storage.errors import DEFAULT_CONNECTION, translate_storage_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from contextlib import AbstractContextManager

    import pandas as pd
    from pyarrow.fs import FileSystem

    from include.data.lake.dtypes import RowBatches
    from include.data.lake.publications import Publication
    from include.partitions import Partition

# Snapshots name old versions, so the log has to outlive them; `optimize_and_vacuum` deletes the files.
_CONFIGURATION: Mapping[str, str | None] = {
    "delta.logRetentionDuration": "interval 3650 days",
    # After this time no attempt of a run is still active.
    "delta.setTransactionRetentionDuration": "interval 90 days",
}
# The rows of a group are in memory while they are written.
_WRITER_PROPERTIES = WriterProperties(max_row_group_size=1 << 17)
_TABLE_NAME = re.compile(r"[a-z][a-z0-9_]{0,80}")


@dataclass(frozen=True, slots=True)
class Lake:
    """
    Tables of a lake.

    Parameters
    ----------
    uri
        Local path, or address such as `s3://bucket/lake`.
    storage_options
        Options of the object store, as Delta takes them.
    commit_timeout
        Time for which a publication competes with other writers.
    connection
        Name of the Airflow connection that error messages refer to.
    """

    uri: str
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)
    commit_timeout: timedelta = COMMIT_TIMEOUT
    connection: str = DEFAULT_CONNECTION

    def publish(
        self,
        table: str,
        rows: pd.DataFrame | RowBatches,
        days: Collection[Partition],
        *,
        metadata: Mapping[str, str],
    ) -> int:
        """
        Replace these days or hours by `rows`, one batch after the other, and return the commit's version.

        A partition without rows is published, too: the commit names its partitions. The table is created if
        it does not exist. New columns are added; missing columns become null.

        Raises
        ------
        DataError
            If a row belongs to another partition, a column has another type than in the table, or the
            table has days where hours are published, or the reverse.
        StaleAttempt
            If a newer try of the run in `metadata` has published these partitions.
        ServiceUnavailable
            If the store is away, or other writers are faster until `commit_timeout`.
        """
        partitions = PartitionSet.of(days)
        unexpected = sorted(partitions.names_in(rows) - set(partitions.names))
        if unexpected or not days:
            raise DataError(
                f"{table}: rows of {', '.join(unexpected) or 'no day'} among those of "
                f"{partitions}. Publish each row with its own {partitions.unit}."
            )
        pending = PendingCommit(table, partitions, metadata)

        def replace(opened: DeltaTable | None) -> int:
            return self._replace(pending, opened, rows)

        return self._commit(pending, replace)

    def update(
        self,
        table: str,
        days: Collection[Partition],
        change: Callable[[pd.DataFrame], pd.DataFrame],
        *,
        metadata: Mapping[str, str],
    ) -> int:
        """
        Replace these days or hours by `change(rows)` in one commit, and return its version.

        If another writer was faster, `change` is called again with the rows of that writer.

        Raises
        ------
        PartitionMissing
            If the table does not exist.
        """
        partitions = PartitionSet.of(days)
        pending = PendingCommit(table, partitions, metadata)

        def replace(opened: DeltaTable | None) -> int:
            existing = opened or self._open(table, None)
            rows = change(dtypes.to_frame(table_reader.scan_rows(table, existing, partitions).read_all()))
            return self._replace(pending, existing, rows)

        return self._commit(pending, replace)

    def counts(self, table: str) -> dict[Partition, int]:
        """Return the number of rows of each published partition, from the log; empty without a table."""
        with self._translate_errors():
            opened = self._find(table)
            if opened is None:
                return {}
            return dict.fromkeys(self._published(table, opened), 0) | table_reader.count_rows(opened)

    def read(
        self,
        table: str,
        days: Collection[Partition] | None = None,
        *,
        version: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return rows of a table as a frame; parameters and errors are those of `read_table`."""
        return dtypes.to_frame(self.read_table(table, days, version=version, columns=columns))

    def read_table(
        self,
        table: str,
        days: Collection[Partition] | None = None,
        *,
        version: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """
        Return rows of a table in the types of its columns.

        Parameters
        ----------
        table
            Name of the table.
        days
            Days or hours; a day of a table of hours is its 24 hours. None for all.
        version
            Version of the table; None for the newest.
        columns
            Columns that are read; None for all.

        Raises
        ------
        PartitionMissing
            If the table or one of the partitions was never published.
        DataError
            If the version cannot be read, or a column does not exist.
        """
        with self._translate_errors():
            return self.scan(table, days, version=version, columns=columns).read_all()

    def scan(
        self,
        table: str,
        days: Collection[Partition] | None = None,
        *,
        version: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.RecordBatchReader:
        """Return a reader of the rows that `read_table` returns, one batch after the other."""
        with self._translate_errors():
            opened = self._open(table, version)
            if columns is not None:
                table_reader.require_columns(table, opened, columns)
            partitions = None if days is None else table_reader.match_granularity(opened, days)
            if partitions is not None:
                table_reader.require_partitions(table, self._published(table, opened), partitions, self.uri)
            return table_reader.scan_rows(table, opened, partitions, columns)

    def version(self, table: str) -> int | None:
        """Return the newest version; None if the table does not exist."""
        with self._translate_errors():
            opened = self._find(table)
            return opened.version() if opened else None

    def days(self, table: str, *, version: int | None = None) -> list[date]:
        """Return the published days, in a table of hours those of 24 hours; empty without a table."""
        partitions = self.partitions(table, version=version)
        hourly = bool(partitions) and isinstance(partitions[0], datetime)
        complete = HOURS_PER_DAY if hourly else 1
        counts = {day: len(list(parts)) for day, parts in groupby(partitions, day_of)}
        return [day for day, count in counts.items() if count == complete]

    def partitions(self, table: str, *, version: int | None = None) -> list[Partition]:
        """Return the published days or hours, in order; empty without a table."""
        with self._translate_errors():
            opened = self._find(table) if version is None else self._open(table, version)
            return self._published(table, opened) if opened else []

    def publications(self, table: str, *, version: int | None = None) -> dict[Partition, Publication]:
        """Return the newest publication of each partition as of a version; empty without a table."""
        with self._translate_errors():
            opened = self._find(table) if version is None else self._open(table, version)
            if opened is None:
                return {}
            return publications.newest_publications(self._files(), table, opened)

    def optimize_and_vacuum(
        self, table: str, retention: timedelta, *, keep_versions: Collection[int] = ()
    ) -> int:
        """
        Compact small files, delete unused ones, and return the number of deleted files.

        Parameters
        ----------
        table
            Name of the table.
        retention
            Age after which a file is deleted that no newer version needs; also files that killed writers
            left.
        keep_versions
            Versions that stay readable at any age, such as those that snapshots name.

        Raises
        ------
        ServiceUnavailable
            If partitions were published during the compaction.
        """
        with self._translate_errors():
            opened = self._open(table, None)
            deleted = maintenance.compact_and_vacuum(table, opened, retention, keep_versions)
            publications.write_index(self._files(), table, opened)
        return deleted

    def _translate_errors(self) -> AbstractContextManager[None]:
        return translate_storage_errors(self.uri, self.storage_options, self.connection)

    def _published(self, table: str, opened: DeltaTable) -> list[Partition]:
        """Return the published partitions; of a table that another program wrote, those with rows."""
        published = publications.newest_publications(self._files(), table, opened)
        return list(published) or table_reader.partitions_with_rows(opened)

    def _commit(self, pending: PendingCommit, attempt: Callable[[DeltaTable | None], int]) -> int:
        with self._translate_errors():
            version = commit_with_retry(
                pending, lambda: self._find(pending.table), attempt, self.commit_timeout
            )
        if version % publications.INDEX_INTERVAL == 0:
            # The partitions are published. Without the index, reading is slower until the next one.
            with suppress(ServiceUnavailable, SettingsError), self._translate_errors():
                opened = self._open(pending.table, None)
                publications.write_index(self._files(), pending.table, opened)
        return version

    def _replace(
        self, pending: PendingCommit, opened: DeltaTable | None, rows: pd.DataFrame | RowBatches
    ) -> int:
        table = pending.table
        partitions = pending.partitions
        schema = pa.schema(opened.schema().to_arrow()) if opened else None
        reader = dtypes.read_batches(rows, schema, partitions.columns)
        if opened is None:
            opened = self._create(table, reader.schema, partitions.columns)
        existing_columns = opened.metadata().partition_columns
        if existing_columns != partitions.columns:
            unit = "hours" if HOUR in existing_columns else "days"
            raise DataError(
                f"{table} is a table of {unit}: {partitions} cannot be published into it. "
                "Give the dataset its former `granularity`, or another name."
            )
        write_deltalake(
            opened,
            pa.RecordBatchReader.from_batches(reader.schema, pace(reader)),
            mode="overwrite",
            predicate=partitions.predicate(),
            schema_mode="merge",
            commit_properties=pending.properties(),
            writer_properties=_WRITER_PROPERTIES,
        )
        return int(opened.version())

    def _create(self, table: str, schema: pa.Schema, partition_by: list[str]) -> DeltaTable:
        try:
            return DeltaTable.create(
                self._table_uri(table),
                schema,
                partition_by=partition_by,
                configuration=_CONFIGURATION,
                storage_options=filesystem.with_timeouts(self.uri, self.storage_options),
            )
        except DeltaError as error:
            if self._find(table) is None:
                raise
            raise TableAppeared(f"{table} was created by another writer") from error

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
                    f"Name a version that exists and was not deleted. ({error})"
                ) from error
        return opened

    def _find(self, table: str) -> DeltaTable | None:
        options = filesystem.with_timeouts(self.uri, self.storage_options)
        try:
            return DeltaTable(self._table_uri(table), storage_options=options)
        except TableNotFoundError:
            return None

    def _files(self) -> FileSystem:
        return filesystem.open_filesystem(self.uri, self.storage_options)

    def _table_uri(self, table: str) -> str:
        if not _TABLE_NAME.fullmatch(table):
            raise DataError(f"{table!r} is no table's name: use lower-case letters, digits and underscores.")
        return f"{self.uri.rstrip('/')}/{table}"
