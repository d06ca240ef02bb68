"""The protocol of sources: files, a database or a service that has the partitions of datasets."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from include.declarations import Dataset
    from include.partitions import Partition

# Rows of this size are read at once, so that what cannot be read is known before the first row is used.
READ_AHEAD_BYTES = 64 << 20


@dataclass(frozen=True)
class Extract:
    """
    The rows of some partitions, read into their declared types.

    Parameters
    ----------
    tables
        At least one table of one schema, which may be read once: the declared columns in their Arrow types,
        null where a value does not fit; the partition columns; and the internal columns of
        `include.data.reading.table`: `MISFITS` has the raw values that do not fit, `MALFORMED` a line that
        cannot be parsed. The quality gate rejects rows with either.
    remarks
        Messages for people, such as columns that are not declared; complete once the tables are read.
    """

    tables: Iterable[pa.Table] = field(repr=False)
    remarks: Sequence[str] = ()

    @cached_property
    def table(self) -> pa.Table:
        """All rows, in memory."""
        return pa.concat_tables(self.tables)

    @classmethod
    def ahead(cls, tables: Iterable[pa.Table], remarks: Sequence[str]) -> Extract:
        """Return the extract of these tables: `READ_AHEAD_BYTES` are read now, the others when used."""
        remaining = iter(tables)
        first: list[pa.Table] = []
        n_bytes = 0
        for table in remaining:
            first.append(table)
            n_bytes += table.nbytes
            if n_bytes > READ_AHEAD_BYTES:
                return cls(chain(first, remaining), remarks)
        return cls(first, tuple(remarks))


class PartitionSource(Protocol):
    """A source of the partitions of datasets."""

    def location(self, dataset: Dataset, partition: Partition) -> str:
        """Return where a person finds a partition."""

    def missing(self, dataset: Dataset, partitions: Sequence[Partition]) -> list[Partition]:
        """
        Return the partitions that the source does not have yet.

        Raises
        ------
        SettingsError
            If the source cannot be used as it is configured.
        ServiceUnavailable
            If the source does not answer.
        """

    def read(self, dataset: Dataset, partitions: Sequence[Partition]) -> Extract:
        """
        Return the rows of these partitions.

        Raises
        ------
        PartitionMissing
            With the first partition that the source does not have.
        DataError
            With the location that cannot be read, and the reason.
        ServiceUnavailable
            If the source does not answer, or stops while it is read.
        """
