"""The protocol of sources: files, a database or a service that has the partitions of datasets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from include.declarations import Dataset
    from include.partitions import Partition


@dataclass(frozen=True, slots=True)
class Extract:
    """
    The rows of some partitions, read into their declared types.

    Parameters
    ----------
    table
        The declared columns (n rows) in their Arrow types, null where a value does not fit; the partition
        columns; and the internal columns of `include.data.reading.table`: `MISFITS` has the raw values that
        do not fit, `MALFORMED` a line that cannot be parsed. The quality gate rejects rows with either.
    remarks
        Messages for people, such as columns that are not declared.
    """

    table: pa.Table = field(repr=False)
    remarks: tuple[str, ...] = ()


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
