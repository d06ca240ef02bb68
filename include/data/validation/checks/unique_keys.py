"""Check that no key occurs twice in a partition, with one hash of each key in memory."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from include.data.lake import dtypes
from include.data.validation.results import MAX_EXAMPLES, CheckResult

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.data.validation.batch import Batch
    from include.data.validation.statistics import AcceptedStatistics

    Array = np.ndarray[Any, Any]

# Name of the column of partition positions beside the key.
POSITION = "_airworthy_position"
# Up to this size, the keys are in memory and not in a temporary file.
SPOOL_BYTES = 64 << 20


class UniqueKeyCheck:
    """
    No key occurs twice in a partition; rows with a null in their key are ignored.

    Not an expectation of Great Expectations: it hashes a whole frame. Here, equal hashes say which keys may
    occur twice; those are read again from a temporary file and compared.
    """

    def __init__(self, key: tuple[str, ...]) -> None:
        self.key = key
        self._columns: tuple[str, ...] = ()
        self._n_rows = 0
        self._hashes: list[Array] = []
        self._files = ExitStack()
        self._spool: Any = None
        self._writer: Any = None

    def add(self, accepted: Batch) -> None:
        """Take the accepted rows of a batch into account."""
        if not set(self.key) <= set(accepted.columns) or not accepted.n_rows:
            return
        self._columns = tuple(dict.fromkeys((*accepted.partitions.columns, *self.key)))
        self._n_rows += accepted.n_rows
        keys = accepted.select(accepted.is_requested)
        table = keys.table.select(list(self.key)).append_column(POSITION, pa.array(keys.positions))
        table = table.drop_null()
        self._hashes.append(_hash_rows(table))
        self._write(table)

    def result(self, _: AcceptedStatistics) -> CheckResult | None:
        """Return the rows that share their key with another row, or None without rows or key."""
        if not self._n_rows:
            return None
        with self._files:
            repeated = self._repeated_hashes()
            n_rows, examples = self._repeated_keys(repeated) if len(repeated) else (0, ())
        message = f"the key ({', '.join(self.key)}) is there more than once"
        return CheckResult(
            expectation="expect_compound_columns_to_be_unique",
            column=", ".join(self._columns),
            severity="critical",
            success=not n_rows,
            failed_rows=n_rows,
            examples=examples,
            message=message if n_rows else "",
            blocking=bool(n_rows),
            checked_rows=self._n_rows,
        )

    def _write(self, table: pa.Table) -> None:
        if self._writer is None:
            # It is closed with `_files`, after the last batch.
            self._spool = tempfile.SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115
            self._files.callback(self._spool.close)
            self._writer = pa.ipc.new_stream(self._spool, table.schema)
        self._writer.write_table(table)

    def _repeated_hashes(self) -> Array:
        hashes = np.concatenate(self._hashes)
        self._hashes.clear()
        hashes.sort()
        return np.unique(hashes[1:][hashes[1:] == hashes[:-1]])

    def _repeated_keys(self, repeated: Array) -> tuple[int, tuple[str, ...]]:
        """Return the number of rows that share their key with another one, and examples of keys."""
        names = [POSITION, *self.key]
        candidates = [
            table.filter(pa.array(np.isin(_hash_rows(table), repeated))) for table in self._read_keys()
        ]
        groups = pa.concat_tables(candidates).group_by(names, use_threads=False)
        counts = groups.aggregate([([], "count_all")])
        repeated_keys = counts.filter(pc.greater(counts["count_all"], 1))
        n_rows = pc.sum(repeated_keys["count_all"]).as_py() or 0
        keys = dtypes.to_frame(repeated_keys.select(list(self.key)).slice(0, MAX_EXAMPLES)).astype(str)
        examples: list[str] = []
        counted = repeated_keys["count_all"].slice(0, MAX_EXAMPLES).to_pylist()
        for values, count in zip(keys.itertuples(index=False), counted, strict=True):
            examples += [", ".join(values)] * min(count, MAX_EXAMPLES)
        return n_rows, tuple(examples[:MAX_EXAMPLES])

    def _read_keys(self) -> Iterator[pa.Table]:
        self._writer.close()
        self._spool.seek(0)
        with pa.ipc.open_stream(self._spool) as reader:
            for batch in reader:
                yield pa.Table.from_batches([batch])


def _hash_rows(table: pa.Table) -> Array:
    """Return a hash (n,) of each row; equal rows have equal hashes."""
    columns = {}
    for name in table.column_names:
        values = table[name].to_pandas()
        # Zero and minus zero are equal.
        columns[name] = values + 0.0 if values.dtype == "float64" else values
    hashes = pd.util.hash_pandas_object(pd.DataFrame(columns), index=False, categorize=False)
    return np.asarray(hashes, dtype=np.uint64)
