"""Where partitions come from: files, a database, a service; one small protocol for all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from include.declarations import Dataset
    from include.partitions import Partition

MALFORMED, MALFORMED_REASON = "_malformed", "_because"


@dataclass(frozen=True, slots=True)
class Extract:
    """
    The rows of some partitions, as upstream has them.

    `rows` has the declared columns in their types and `day`, of an hourly dataset `hour` too. A column with a
    value that does not fit stays text, for the gate to refuse the row. A line that is no row at all is there
    with nothing but its text in `_malformed`, and in `_because` what is wrong with it.
    `remarks` are for a person: what upstream sends beyond what is declared.
    """

    rows: pd.DataFrame = field(repr=False)
    remarks: tuple[str, ...] = ()


class PartitionSource(Protocol):
    """Something that has the partitions of datasets."""

    def location(self, dataset: Dataset, partition: Partition) -> str:
        """Return where a person would look for a partition."""

    def missing(self, dataset: Dataset, partitions: Sequence[Partition]) -> list[Partition]:
        """
        Return the partitions that are not there yet.

        :raises SettingsError: if the source cannot be used as it is configured
        :raises ServiceUnavailable: if it does not answer
        """

    def read(self, dataset: Dataset, partitions: Sequence[Partition]) -> Extract:
        """
        Return the rows of these partitions.

        :raises PartitionMissing: naming the first that is not there
        :raises DataError: naming what cannot be read, and why
        :raises ServiceUnavailable: if the source does not answer, or stops in between
        """
