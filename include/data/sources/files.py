"""Source of files: a folder or bucket with one file per dataset and partition."""

from __future__ import annotations

import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from gzip import BadGzipFile, GzipFile
from typing import TYPE_CHECKING

import pyarrow as pa

from include.data.lake import partition_columns
from include.data.sources.base import Extract
from include.data.sources.columnar import parse_parquet
from include.data.sources.delimited import parse_delimited
from include.data.sources.formats import Block, Layout, Unreadable
from include.data.sources.json_lines import parse_json_lines
from include.declarations import FileSource
from include.errors import DataError, DeclarationError, PartitionMissing
from include.partitions import format_partition
from include.storage import filesystem
from include.storage.errors import DEFAULT_CONNECTION, translate_storage_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import BinaryIO, TypeAlias

    from pyarrow.fs import FileSystem

    from include.declarations import Dataset
    from include.partitions import Partition

    Locate: TypeAlias = Callable[[Dataset, Partition], str]
    Parser: TypeAlias = Callable[[Iterable[bytes], Layout], Iterator[Block]]

MAX_BYTES = 2 << 30
MEBIBYTE = 1 << 20
CHUNK_BYTES = 16 * MEBIBYTE
PARSERS: Mapping[str, Parser] = {
    "csv": parse_delimited,
    "jsonl": parse_json_lines,
    "parquet": parse_parquet,
}


@dataclass(frozen=True, slots=True)
class Landing:
    """
    The folder or bucket in which files land.

    Parameters
    ----------
    uri
        Local path, or address such as `s3://bucket/landing`.
    storage_options
        Options of the object store, as Delta takes them.
    connection
        Name of the Airflow connection that error messages refer to.
    max_bytes
        Size of a file, after decompression, above which it is not read.
    """

    uri: str
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)
    connection: str = DEFAULT_CONNECTION
    max_bytes: int = MAX_BYTES

    def location(self, dataset: Dataset, partition: Partition) -> str:
        """Return the address of a partition's file."""
        return f"{self.uri.rstrip('/')}/{landing_path(dataset, partition)}"

    def missing(self, dataset: Dataset, partitions: Sequence[Partition]) -> list[Partition]:
        """Return the partitions whose file has not landed."""
        paths = {partition: landing_path(dataset, partition) for partition in partitions}
        with self._translate_errors():
            files = filesystem.open_filesystem(self.uri, self.storage_options)
            absent = filesystem.find_missing(files, list(paths.values()))
        return [partition for partition in partitions if paths[partition] in absent]

    def read(self, dataset: Dataset, partitions: Sequence[Partition]) -> Extract:
        """
        Return the rows of these files.

        Raises
        ------
        PartitionMissing
            With the first file that has not landed.
        DataError
            With the file that cannot be read, and the reason.
        """
        absent = self.missing(dataset, partitions)
        if absent or not partitions:
            first = f", the first is {self.location(dataset, absent[0])}" if absent else ""
            raise PartitionMissing(
                f"{dataset.name}: {len(absent)} of {len(partitions)} files have not landed{first}. "
                "Ask the sender for them, or choose days that landed."
            )
        layout = Layout(dataset.columns, file_source(dataset))
        with self._translate_errors():
            files = filesystem.open_filesystem(self.uri, self.storage_options)
            contents = ((partition, self._read_file(files, dataset, partition)) for partition in partitions)
            return assemble(dataset, contents, layout, self.location)

    def _read_file(self, files: FileSystem, dataset: Dataset, partition: Partition) -> Iterator[bytes]:
        path = landing_path(dataset, partition)
        with files.open_input_stream(path, compression=None) as stream:
            yield from read_chunks(stream, self.max_bytes, gzip=path.endswith(".gz"))

    def _translate_errors(self) -> AbstractContextManager[None]:
        return translate_storage_errors(self.uri, self.storage_options, self.connection)


def file_source(dataset: Dataset) -> FileSource:
    """
    Return the declared files of a dataset.

    Raises
    ------
    DeclarationError
        If the dataset has another kind of source.
    """
    if not isinstance(dataset.source, FileSource):
        raise DeclarationError(f"{dataset.name} comes from {dataset.source.kind}: it has no landing files.")
    return dataset.source


def landing_path(dataset: Dataset, partition: Partition) -> str:
    """Return the path of a partition's file below the landing folder."""
    return file_source(dataset).path.replace("{partition}", format_partition(partition))


def read_chunks(stream: BinaryIO, max_bytes: int, *, gzip: bool) -> Iterator[bytes]:
    """
    Yield the content of a file in chunks.

    Raises
    ------
    Unreadable
        If the file is cut off, is no gzip file, or is larger than `max_bytes`.
    """
    source = GzipFile(fileobj=stream) if gzip else stream
    n_bytes = 0
    while True:
        try:
            chunk = bytes(source.read(CHUNK_BYTES))
        except EOFError as error:
            raise Unreadable("is cut off: its gzip has no end") from error
        except (BadGzipFile, zlib.error) as error:
            raise Unreadable(f"is no gzip, or a damaged one: {error}") from error
        if not chunk:
            return
        n_bytes += len(chunk)
        if n_bytes > max_bytes:
            raise Unreadable(
                f"is larger than {max_bytes / MEBIBYTE:,.0f} MiB. Have it split, for example by hours"
            )
        yield chunk


def assemble(
    dataset: Dataset,
    contents: Iterable[tuple[Partition, Iterable[bytes]]],
    layout: Layout,
    location: Locate,
) -> Extract:
    """
    Parse files of one layout and return their rows.

    Parameters
    ----------
    dataset
        The dataset of the files.
    contents
        Chunks of the content of each file, with its partition.
    layout
        Format of all files.
    location
        Function that names the file of a partition in messages.

    Raises
    ------
    DataError
        With the file that cannot be read, and the reason.
    """
    tables: list[pa.Table] = []
    remarks: list[str] = []
    parse = PARSERS[layout.source.format]
    for partition, chunks in contents:
        # A dict keeps the names in their order.
        undeclared: dict[str, None] = {}
        with translate_unreadable(dataset, location(dataset, partition)):
            for block in parse(chunks, layout):
                tables.append(partition_columns.append_partition_columns(block.table, partition))
                undeclared |= dict.fromkeys(block.undeclared)
        if undeclared:
            names = ", ".join(undeclared)
            remarks.append(f"{location(dataset, partition)} has columns that are not declared: {names}")
    return Extract(pa.concat_tables(tables), tuple(remarks))


@contextmanager
def translate_unreadable(dataset: Dataset, location: str) -> Iterator[None]:
    """
    Translate `Unreadable` into an error that names the location and the remedy.

    Raises
    ------
    DataError
        If the content at `location` is not what is declared.
    """
    try:
        yield
    except Unreadable as error:
        raise DataError(
            f"{location} {error}. Have it sent again, or correct the declaration of {dataset.name}; "
            "then clear this task."
        ) from error
