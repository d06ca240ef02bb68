"""Parser of Parquet files."""

from __future__ import annotations

from contextlib import contextmanager
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import parquet

from include.data.reading.table import read_table
from include.data.sources.formats import Block, Layout, Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BATCH_ROWS = 1 << 17
# A column's part of a group of rows is read so many bytes at once, however large the group is.
BUFFER_BYTES = 1 << 20


def parse_parquet(chunks: Iterable[bytes], layout: Layout) -> Iterator[Block]:
    """
    Parse a Parquet file.

    Raises
    ------
    Unreadable
        If it is no Parquet file, or lacks a declared column.
    """
    how = (layout.columns, layout.spelling, layout.names_in_file)
    with _on_disk(chunks) as path:
        try:
            with parquet.ParquetFile(path, buffer_size=BUFFER_BYTES) as file:
                undeclared = layout.undeclared(file.schema_arrow.names)
                yield Block(read_table(file.schema_arrow.empty_table(), *how), undeclared)
                names = list(layout.names_in_file.values())
                # A name with a dot would select a field of a structure.
                columns = None if any("." in name for name in names) else names
                for batch in file.iter_batches(BATCH_ROWS, columns=columns):
                    yield Block(read_table(pa.Table.from_batches([batch]), *how), undeclared)
        except (pa.ArrowException, OSError) as error:
            raise Unreadable(f"cannot be read: {error}") from error


@contextmanager
def _on_disk(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield the path of a temporary file with this content: the end of a Parquet file is read first."""
    with NamedTemporaryFile(prefix="airworthy-", suffix=".parquet") as file:
        for chunk in chunks:
            file.write(chunk)
        if not file.tell():
            raise Unreadable("is empty: no Parquet at all")
        file.flush()
        yield file.name
