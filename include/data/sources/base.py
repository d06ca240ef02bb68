"""The protocol of sources: files, a database or a service that has the partitions of datasets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from include.declarations import Dataset
    from include.partitions import Partition

# Columns of lines that cannot be parsed as a row: the text of the line, and the reason.
MALFORMED = "_malformed"
MALFORMED_REASON = "_because"


@dataclass(frozen=True, slots=True)
class Extract:
    """
    The rows of some partitions, as the source has them.

    Parameters
    ----------
    rows
        Frame (n rows) with the declared columns in their types, and `day`, of an hourly dataset also `hour`.
        A column with a value that does not fit its type stays text; the quality gate rejects such rows. A
        line that cannot be parsed has only its text in `_malformed` and the reason in `_because`.
    remarks
        Messages for people, such as columns that are not declared.
    """

    rows: pd.DataFrame = field(repr=False)
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
