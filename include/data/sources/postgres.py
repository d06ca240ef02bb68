"""A query in somebody's PostgreSQL that returns the rows of a partition, and what changed in earlier ones."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

import pandas as pd
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from include import partitions as names
from include.data.lake import partition_columns
from include.data.sources.base import Extract
from include.data.sources.files import match_columns
from include.declarations import PostgresSource
from include.errors import DataError, DeclarationError, PartitionMissing, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection, Engine, Result

    from include.declarations import Dataset
    from include.partitions import Partition

Watermark: TypeAlias = int | str  # as JSON: a number, or a moment in ISO 8601

BATCH = 20_000
EXCESS = 10  # times the most rows that a partition may have: beyond that nobody needs to see them all
_END_OF_TIME = datetime(9999, 12, 31, tzinfo=UTC)
_ACCIDENTS = ("08", "40", "53", "57P", "55P03")  # connection, conflict, resources, shutdown, lock


@dataclass(frozen=True, slots=True)
class Changes:
    """Up to where upstream's changes are known, and the partitions of before that they touched."""

    watermark: Watermark | None
    late: tuple[Partition, ...] = ()


@dataclass(frozen=True, slots=True)
class UpstreamDatabase:
    """The database behind `engine`, which is only ever read; a query has `seconds`."""

    engine: Engine
    seconds: int = 600

    def location(self, dataset: Dataset, partition: Partition) -> str:
        """Return which query, where, and of which partition."""
        url = self.engine.url
        at = f"{url.host}:{url.port or 5432}/{url.database} ({postgres_source(dataset).conn_id})"
        return f"the query of {dataset.name} at {at} for {names.format_partition(partition)}"

    def missing(self, dataset: Dataset, partitions: Sequence[Partition]) -> list[Partition]:
        """
        Return the partitions that upstream may still add to.

        By a watermark of moments upstream is done with a partition when it has changes from after its end;
        otherwise when, by its own clock, the partition has ended.
        """
        with self._reading(dataset, partitions[0]) as connection:
            now = connection.execute(text("SELECT now()")).scalar_one()
            unfinished = [one for one in partitions if names.end_of(one) > now]
            ended = [one for one in partitions if one not in unfinished]
            if ended and postgres_source(dataset).watermark:
                newest = self._newest(connection, dataset, names.start_of(ended[0]), _END_OF_TIME)
                if newest is None:
                    unfinished += ended
                elif isinstance(newest, datetime):
                    unfinished += [one for one in ended if names.end_of(one) > _aware(newest)]
        return sorted(unfinished)

    def read(self, dataset: Dataset, partitions: Sequence[Partition]) -> Extract:
        """Return the rows of these partitions, as they are at one moment."""
        with self._reading(dataset, partitions[0]) as connection:
            now = connection.execute(text("SELECT now()")).scalar_one()
            absent = [one for one in partitions if names.end_of(one) > now]
            if absent:
                raise PartitionMissing(
                    f"{self.location(dataset, absent[0])} is not complete: it has not ended."
                )
            parts = [self._rows(connection, dataset, one) for one in partitions]
        undeclared = list(dict.fromkeys(name for _, extra in parts for name in extra))
        rows = pd.concat([frame for frame, _ in parts], ignore_index=True)
        remarks = (
            [f"the query of {dataset.name} returns columns that nobody declared: {', '.join(undeclared)}"]
            if undeclared
            else []
        )
        return Extract(match_columns(rows, dataset), tuple(remarks))

    def changes(
        self, dataset: Dataset, since: Watermark | None, current: Partition, published: Sequence[Partition]
    ) -> Changes:
        """
        Return the newest change up to the end of `current`, and which `published` ones before it changed.

        Changes that are younger than `settle` are left for the next run: others of that moment may not have
        been committed yet. Without `since`, which is how it begins, nothing is late.
        """
        column, end = postgres_source(dataset).watermark, names.end_of(current)
        if column is None:
            return Changes(None)
        before = sorted(one for one in published if one < current)
        with self._reading(dataset, current) as connection:
            now = connection.execute(text("SELECT now()")).scalar_one()
            newest = self._newest(connection, dataset, names.start_of(dataset.first_partition), end)
            if isinstance(newest, datetime):
                settled = now - postgres_source(dataset).settle
                newest = min(
                    newest, settled if newest.tzinfo else settled.astimezone(UTC).replace(tzinfo=None)
                )
            late = self._changed(connection, dataset, _value(since), before) if since is not None else []
        if newest is None:
            return Changes(since)
        mark = newest.isoformat() if isinstance(newest, datetime) else int(newest)
        return Changes(mark, tuple(late))

    def _changed(
        self, connection: Connection, dataset: Dataset, since: Any, before: Sequence[Partition]
    ) -> list[Partition]:
        """Halve, and look where something changed: a few questions each, however long the history is."""
        if not before:
            return []
        newest = self._newest(connection, dataset, names.start_of(before[0]), names.end_of(before[-1]))
        if newest is None or newest <= since:
            return []
        if len(before) == 1:
            return [before[0]]
        half = len(before) // 2
        return [
            *self._changed(connection, dataset, since, before[:half]),
            *self._changed(connection, dataset, since, before[half:]),
        ]

    def _newest(self, connection: Connection, dataset: Dataset, start: datetime, end: datetime) -> Any:
        source = postgres_source(dataset)
        statement = f'SELECT max("{source.watermark}") FROM ({source.query}) AS rows'  # noqa: S608  declared
        newest = connection.execute(text(statement), {"start": start, "end": end}).scalar_one()
        if newest is None or isinstance(newest, int | datetime):
            return newest
        if isinstance(newest, Decimal) and newest == int(newest):
            return int(newest)
        raise DataError(
            f"The watermark {source.watermark} of {dataset.name} is of type {type(newest).__name__}: choose "
            "a column of moments or whole numbers that grows with every change."
        )

    def _rows(
        self, connection: Connection, dataset: Dataset, partition: Partition
    ) -> tuple[pd.DataFrame, list[str]]:
        source, most = postgres_source(dataset), EXCESS * dataset.volume[1]
        span = {"start": names.start_of(partition), "end": names.end_of(partition)}
        streamed = connection.execution_options(stream_results=True, max_row_buffer=BATCH)
        with streamed.execute(text(source.query), span) as result:
            wanted, found = [column.name for column in dataset.columns], list(result.keys())
            lacking = [name for name in wanted if found.count(name) != 1]
            if lacking:
                raise DataError(
                    f"{self.location(dataset, partition)} has {', '.join(lacking)} not exactly once; it "
                    f"returns {', '.join(found)}. Correct the query, or the columns of {dataset.name}."
                )
            undeclared = [name for name in found if name not in {*wanted, source.watermark}]
            frames = []
            for rows in _batches(result.columns(*wanted)):
                frames.append(pd.DataFrame(rows, columns=wanted, dtype=object))
                if sum(map(len, frames)) > most:
                    raise DataError(
                        f"{self.location(dataset, partition)} returned more than {most:,} rows, {EXCESS} "
                        f"times what the volume of {dataset.name} allows. Correct the query, or the volume."
                    )
        frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=wanted, dtype=object)
        return partition_columns.with_partition_columns(frame, partition), undeclared

    @contextmanager
    def _reading(self, dataset: Dataset, partition: Partition) -> Iterator[Connection]:
        try:
            with (
                self.engine.connect().execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                ) as connection,
                connection.begin(),
            ):
                connection.execute(text(f"SET LOCAL statement_timeout = {1000 * self.seconds}"))
                yield connection
        except DBAPIError as error:
            raise self._meaning(error, self.location(dataset, partition)) from error

    def _meaning(self, error: DBAPIError, place: str) -> DataError | ServiceUnavailable:
        code = str(getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None) or "")
        said = " ".join(str(error.orig).split())
        away = isinstance(error, OperationalError | InterfaceError) and not code
        if away or error.connection_invalidated or code.startswith(_ACCIDENTS):
            return ServiceUnavailable(
                f"The database of {place} is away or busy: {said}. See whether it is up."
            )
        return DataError(f"{place} fails: {said}. Correct the query, or what its user may read.")


def postgres_source(dataset: Dataset) -> PostgresSource:
    """
    Return the declared query of a dataset.

    :raises DeclarationError: if it comes from elsewhere
    """
    if not isinstance(dataset.source, PostgresSource):
        raise DeclarationError(f"{dataset.name} comes from {dataset.source.kind}: it has no query.")
    return dataset.source


def is_later(one: Watermark, other: Watermark | None) -> bool:
    """Return whether a watermark is further on than another, or the first."""
    return other is None or bool(_value(one) > _value(other))


def _batches(result: Result[Any]) -> Iterator[list[tuple[Any, ...]]]:
    for rows in result.partitions(BATCH):
        yield [tuple(float(value) if isinstance(value, Decimal) else value for value in row) for row in rows]


def _value(watermark: Watermark) -> Any:
    return datetime.fromisoformat(watermark) if isinstance(watermark, str) else watermark


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
