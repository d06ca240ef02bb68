"""Source of a team: a class of its own that reads the rows of partitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import pandas as pd
import pyarrow as pa

from include.data.lake import partition_columns
from include.data.reading.table import read_frame, read_table
from include.data.sources.base import Extract
from include.errors import AirworthyError, DataError, ServiceUnavailable
from include.import_paths import import_class
from include.partitions import format_partition

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.declarations import CustomSource, Dataset
    from include.partitions import Partition

# Subclasses of OSError that would come again.
_PERMANENT = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
# Mappings that are read at once.
BATCH_ROWS = 20_000
Batch: TypeAlias = pa.Table | pa.RecordBatch | pd.DataFrame
Rows: TypeAlias = Batch | Iterable[Batch] | Iterable[Mapping[str, Any]]


class RowSource(Protocol):
    """What a team's class has."""

    def location(self, dataset: Dataset, partition: Partition) -> str:
        """Return where a person finds a partition."""

    def missing(self, dataset: Dataset, partitions: Sequence[Partition]) -> list[Partition]:
        """Return the partitions that are not there yet."""

    def read(self, dataset: Dataset, partition: Partition) -> Rows:
        """
        Return the rows of a partition, whose columns have the declared names.

        They are a frame or an Arrow table; or, so that they need not be in memory at once, an iterable of
        frames and Arrow tables, or of mappings.
        """


@dataclass(frozen=True, slots=True)
class TeamSource:
    """
    The partitions of a team's source.

    Parameters
    ----------
    source
        Object of the team's class.
    path
        Import path of the class, for messages.
    """

    source: RowSource
    path: str

    @classmethod
    def create(cls, declared: CustomSource, connection: Any = None) -> TeamSource:
        """Return the source with an object of the declared class; `connection` is that of its `conn_id`."""
        options = dict(declared.options)
        if declared.conn_id is not None:
            options["connection"] = connection
        with _translate_errors(declared.path, "creating it"):
            return cls(import_class(declared.path, "source.path")(**options), declared.path)

    def location(self, dataset: Dataset, partition: Partition) -> str:
        """Return where a person finds a partition."""
        with _translate_errors(self.path, "location()"):
            return str(self.source.location(dataset, partition))

    def missing(self, dataset: Dataset, partitions: Sequence[Partition]) -> list[Partition]:
        """Return the partitions that are not there yet."""
        with _translate_errors(self.path, "missing()"):
            absent = set(self.source.missing(dataset, list(partitions)))
        return [partition for partition in partitions if partition in absent]

    def read(self, dataset: Dataset, partitions: Sequence[Partition]) -> Extract:
        """Return the rows of these partitions, which are read one batch after the other."""
        remarks: list[str] = []

        def read_tables() -> Iterator[pa.Table]:
            # A dict keeps the names in their order.
            undeclared: dict[str, None] = {}
            for partition in partitions:
                for table in self._read_partition(dataset, partition, undeclared):
                    yield partition_columns.append_partition_columns(table, partition)
            if undeclared:
                names = ", ".join(undeclared)
                remarks.append(f"{self.path} returns columns that are not declared: {names}")

        return Extract.ahead(read_tables(), remarks)

    def _read_partition(
        self, dataset: Dataset, partition: Partition, undeclared: dict[str, None]
    ) -> Iterator[pa.Table]:
        """Yield the rows of a partition in batches, and add the names of undeclared columns."""
        names = [column.name for column in dataset.columns]
        yield read_table(pa.table({name: pa.nulls(0) for name in names}), dataset.columns)
        # Names of the keys of mappings, of which one alone need not have all.
        keys: dict[str, None] = {}
        for rows in self._batches(dataset, partition, keys):
            is_frame = isinstance(rows, pd.DataFrame)
            existing = [str(name) for name in (rows.columns if is_frame else rows.schema.names)]
            self._require_columns(dataset, partition, existing)
            undeclared |= {name: None for name in existing if name not in names}
            yield (read_frame if is_frame else read_table)(rows, dataset.columns)
        if keys:
            self._require_columns(dataset, partition, list(keys))

    def _batches(self, dataset: Dataset, partition: Partition, keys: dict[str, None]) -> Iterator[Batch]:
        """Yield what the class returns, mappings as frames with the declared columns; add their `keys`."""
        names = [column.name for column in dataset.columns]
        with _translate_errors(self.path, f"read() of {format_partition(partition)}"):
            rows: Any = self.source.read(dataset, partition)
            if isinstance(rows, Batch):
                yield rows
                return
            mappings: list[Mapping[str, Any]] = []
            for item in rows:
                if isinstance(item, Batch):
                    yield item
                    continue
                mappings.append(item)
                if len(mappings) == BATCH_ROWS:
                    yield _to_frame(mappings, names, keys)
                    mappings = []
            if mappings:
                yield _to_frame(mappings, names, keys)

    def _require_columns(self, dataset: Dataset, partition: Partition, existing: list[str]) -> None:
        lacking = [column.name for column in dataset.columns if column.name not in existing]
        if lacking:
            raise DataError(
                f"{self.location(dataset, partition)} has no {', '.join(lacking)}; {self.path} returns "
                f"{', '.join(existing)}. Correct read(), or the columns of {dataset.name}."
            )
        repeated = [column.name for column in dataset.columns if existing.count(column.name) > 1]
        if repeated:
            raise DataError(
                f"{self.location(dataset, partition)} has {', '.join(repeated)} more than once. "
                f"Correct read() of {self.path}."
            )


def _to_frame(mappings: list[Mapping[str, Any]], names: Sequence[str], keys: dict[str, None]) -> pd.DataFrame:
    # Python's values are exact: a pandas frame has no integers beside nulls.
    frame = pd.DataFrame(mappings, dtype=object)
    keys |= {str(name): None for name in frame.columns}
    absent = [name for name in names if name not in frame.columns]
    return frame.assign(**dict.fromkeys(absent))


@contextmanager
def _translate_errors(path: str, step: str) -> Iterator[None]:
    """Translate what a team's class raises: `OSError` can be retried, other errors would come again."""
    try:
        yield
    except AirworthyError:
        raise
    # The class is somebody else's code.
    except Exception as error:
        if isinstance(error, OSError) and not isinstance(error, _PERMANENT):
            raise ServiceUnavailable(
                f"{path}: {step} was cut short: {type(error).__name__}: {error}. It is retried; check that "
                "its service is up."
            ) from error
        raise DataError(
            f"{path}: {step} raises {type(error).__name__}: {error}. Correct the class; it should raise "
            "ServiceUnavailable (include.errors) where a retry may help."
        ) from error
