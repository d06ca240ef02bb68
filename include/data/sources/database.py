"""Source in a database: a query that returns the rows of a partition, and changes in earlier partitions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

from include.data.lake import partition_columns
from include.data.reading.spelling import Spelling
from include.data.reading.table import read_driver_rows
from include.data.sources.base import Extract
from include.data.sources.queries import PartitionQuery
from include.declarations import DatabaseSource
from include.errors import DataError, DeclarationError, PartitionMissing
from include.partitions import format_partition

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    import pyarrow as pa
    from sqlalchemy import Connection, Engine

    from include.declarations import Dataset
    from include.partitions import Partition

# As JSON: a number, or a moment in ISO 8601.
Watermark: TypeAlias = int | str

BATCH_ROWS = 20_000
# A partition is not read beyond this multiple of the declared maximum of rows.
MAX_EXCESS = 10
_END_OF_TIME = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Changes:
    """The newest known change of a query, and the earlier partitions that changed since the last one."""

    watermark: Watermark | None
    late: tuple[Partition, ...] = ()


@dataclass(frozen=True, slots=True)
class UpstreamDatabase:
    """
    A database with partitions, in which nothing is changed.

    Parameters
    ----------
    engine
        Engine of the database.
    timeout_s
        Seconds after which a query is cancelled.
    """

    engine: Engine
    timeout_s: int = 600

    def location(self, dataset: Dataset, partition: Partition) -> str:
        """Return the name of the query, the database and the partition."""
        url = self.engine.url
        port = f":{url.port}" if url.port else ""
        server = f"{url.host}{port}/" if url.host else ""
        database = f"{server}{url.database} ({database_source(dataset).conn_id})"
        return f"the query of {dataset.name} at {database} for {format_partition(partition)}"

    def missing(self, dataset: Dataset, partitions: Sequence[Partition]) -> list[Partition]:
        """
        Return the partitions to which rows may still be added.

        With a watermark of moments, a partition is complete when there are changes after its end; otherwise
        when it has ended by the clock of the database.
        """
        calendar = dataset.calendar
        query = self._query(dataset)
        with self._transaction(dataset, partitions[0]) as connection:
            now = query.dialect.current_time(connection)
            unfinished = [partition for partition in partitions if calendar.end_of(partition) > now]
            ended = [partition for partition in partitions if calendar.end_of(partition) <= now]
            if ended and query.source.watermark:
                newest = query.newest_change(connection, calendar.start_of(ended[0]), _END_OF_TIME)
                if newest is None:
                    unfinished += ended
                elif isinstance(newest, datetime):
                    unfinished += [partition for partition in ended if calendar.end_of(partition) > newest]
        return sorted(unfinished)

    def read(self, dataset: Dataset, partitions: Sequence[Partition]) -> Extract:
        """Return the rows of these partitions, all as of the same moment, in one transaction."""
        remarks: list[str] = []

        def read_tables() -> Iterator[pa.Table]:
            # A dict keeps the names in their order.
            undeclared: dict[str, None] = {}
            with self._transaction(dataset, partitions[0]) as connection:
                self._require_ended(connection, dataset, partitions)
                for partition in partitions:
                    yield from self._read_partition(connection, dataset, partition, undeclared)
            if undeclared:
                names = ", ".join(undeclared)
                remarks.append(f"the query of {dataset.name} returns columns that are not declared: {names}")

        return Extract.ahead(read_tables(), remarks)

    def changes(
        self, dataset: Dataset, since: Watermark | None, current: Partition, published: Sequence[Partition]
    ) -> Changes:
        """
        Return the newest change up to the end of a partition, and the earlier partitions that changed.

        Changes that are younger than the declared `settle` are left to the next run, since other changes of
        that moment may not be committed yet.

        Parameters
        ----------
        dataset
            A dataset with a query.
        since
            Watermark of the last run; None for the first run, in which no partition is late.
        current
            The partition of this run.
        published
            Partitions in the lake.
        """
        if database_source(dataset).watermark is None:
            return Changes(None)
        earlier = sorted(partition for partition in published if partition < current)
        late: list[Partition] = []
        with self._transaction(dataset, current) as connection:
            now = self._query(dataset).dialect.current_time(connection)
            first = dataset.calendar.start_of(dataset.first_partition)
            newest = self._query(dataset).newest_change(connection, first, dataset.calendar.end_of(current))
            if isinstance(newest, datetime):
                # All changes before that moment are committed.
                newest = min(newest, now - database_source(dataset).settle)
            if since is not None:
                late = self._changed_partitions(connection, dataset, _parse_watermark(since), earlier)
        if newest is None:
            return Changes(since)
        watermark = newest.isoformat() if isinstance(newest, datetime) else int(newest)
        return Changes(watermark, tuple(late))

    def _changed_partitions(
        self, connection: Connection, dataset: Dataset, since: Any, partitions: Sequence[Partition]
    ) -> list[Partition]:
        """Search by bisection: the number of queries grows with the changes, not with the history."""
        if not partitions:
            return []
        newest = self._query(dataset).newest_change(
            connection, dataset.calendar.start_of(partitions[0]), dataset.calendar.end_of(partitions[-1])
        )
        if newest is None or newest <= since:
            return []
        if len(partitions) == 1:
            return [partitions[0]]
        middle = len(partitions) // 2
        return [
            *self._changed_partitions(connection, dataset, since, partitions[:middle]),
            *self._changed_partitions(connection, dataset, since, partitions[middle:]),
        ]

    def _require_ended(
        self, connection: Connection, dataset: Dataset, partitions: Sequence[Partition]
    ) -> None:
        now = self._query(dataset).dialect.current_time(connection)
        unfinished = [partition for partition in partitions if dataset.calendar.end_of(partition) > now]
        if unfinished:
            raise PartitionMissing(
                f"{self.location(dataset, unfinished[0])} is not complete: it has not ended."
            )

    def _read_partition(
        self, connection: Connection, dataset: Dataset, partition: Partition, undeclared: dict[str, None]
    ) -> Iterator[pa.Table]:
        """Yield the rows of a partition in batches, and add the names of undeclared columns."""
        query = self._query(dataset)
        names = [column.name for column in dataset.columns]
        spelling = Spelling(query.source.time_zone)
        n_rows = 0
        streaming = connection.execution_options(stream_results=True, max_row_buffer=BATCH_ROWS)
        with query.execute(
            streaming, dataset.calendar.start_of(partition), dataset.calendar.end_of(partition)
        ) as result:
            existing = list(result.keys()) if result.returns_rows else []
            self._require_columns(dataset, partition, existing)
            undeclared |= {name: None for name in existing if name not in {*names, query.source.watermark}}
            codes = {name: code for name, code, *_ in result.cursor.description} if result.cursor else {}
            type_codes = [codes.get(name) for name in names]
            for rows in chain([[]], result.columns(*names).partitions(BATCH_ROWS)):
                values = query.dialect.read_rows(rows, type_codes)
                table = read_driver_rows(values, dataset.columns, spelling)
                n_rows += table.num_rows
                self._require_volume(dataset, partition, n_rows)
                yield partition_columns.append_partition_columns(table, partition)

    def _require_columns(self, dataset: Dataset, partition: Partition, existing: list[str]) -> None:
        names = [column.name for column in dataset.columns]
        not_once = [name for name in names if existing.count(name) != 1]
        if not_once:
            raise DataError(
                f"{self.location(dataset, partition)} has {', '.join(not_once)} not exactly once; it "
                f"returns {', '.join(existing)}. Correct the query, or the columns of {dataset.name}."
            )

    def _require_volume(self, dataset: Dataset, partition: Partition, n_rows: int) -> None:
        max_rows = MAX_EXCESS * dataset.volume[1]
        if n_rows > max_rows:
            raise DataError(
                f"{self.location(dataset, partition)} returned more than {max_rows:,} rows, {MAX_EXCESS} "
                f"times what the volume of {dataset.name} allows. Correct the query, or the volume."
            )

    def _query(self, dataset: Dataset) -> PartitionQuery:
        return PartitionQuery(dataset, database_source(dataset), self.engine)

    def _transaction(self, dataset: Dataset, partition: Partition) -> AbstractContextManager[Connection]:
        return self._query(dataset).transaction(self.timeout_s, self.location(dataset, partition))


def database_source(dataset: Dataset) -> DatabaseSource:
    """
    Return the declared query of a dataset.

    Raises
    ------
    DeclarationError
        If the dataset has another kind of source.
    """
    if not isinstance(dataset.source, DatabaseSource):
        raise DeclarationError(f"{dataset.name} comes from {dataset.source.kind}: it has no query.")
    return dataset.source


def is_later(watermark: Watermark, other: Watermark | None) -> bool:
    """Return whether a watermark is later than another one; True if there is no other."""
    return other is None or bool(_parse_watermark(watermark) > _parse_watermark(other))


def _parse_watermark(watermark: Watermark) -> Any:
    return datetime.fromisoformat(watermark) if isinstance(watermark, str) else watermark
