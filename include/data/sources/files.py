"""Source of files: a folder or bucket with one file per dataset and partition."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from gzip import BadGzipFile, GzipFile
from typing import IO, TYPE_CHECKING, Any

from pyarrow.fs import FileType

from include.data.sources.assembly import assemble, extract_rows, newest_partition
from include.data.sources.formats import Layout, Unreadable
from include.declarations import FileSource
from include.errors import DeclarationError, PartitionMissing
from include.partitions import format_partition
from include.storage import filesystem
from include.storage.errors import DEFAULT_CONNECTION, translate_storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from include.data.sources.base import Extract
    from include.declarations import Dataset
    from include.partitions import Partition

MAX_BYTES = 2 << 30
MEBIBYTE = 1 << 20
CHUNK_BYTES = 16 * MEBIBYTE
# Within this time a file may change once more without another time of change.
MTIME_RESOLUTION = timedelta(seconds=2)


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
    newest
        Newest partition in each file of all partitions, with the size and time of change of the file, so
        that a sensor reads a file again only when it has changed.
    """

    uri: str
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)
    connection: str = DEFAULT_CONNECTION
    max_bytes: int = MAX_BYTES
    newest: dict[str, tuple[Any, Partition | None]] = field(default_factory=dict, repr=False, compare=False)

    def location(self, dataset: Dataset, partition: Partition) -> str:
        """Return the address of a partition's file."""
        return f"{self.uri.rstrip('/')}/{landing_path(dataset, partition)}"

    def missing(self, dataset: Dataset, partitions: Sequence[Partition]) -> list[Partition]:
        """Return the partitions whose file, or whose rows in the only file, have not landed."""
        if file_source(dataset).split_by is not None:
            return self._missing_rows(dataset, partitions)
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
        if file_source(dataset).split_by is not None:
            return self._read_rows(dataset, partitions)
        absent = self.missing(dataset, partitions)
        if absent or not partitions:
            first = f", the first is {self.location(dataset, absent[0])}" if absent else ""
            raise PartitionMissing(
                f"{dataset.name}: {len(absent)} of {len(partitions)} files have not landed{first}. "
                "Ask the sender for them, or choose days that landed."
            )
        layout = Layout(dataset.columns, file_source(dataset))
        contents = ((partition, self._read_file(dataset, partition)) for partition in partitions)
        return assemble(dataset, contents, layout, self.location)

    def _read_file(self, dataset: Dataset, partition: Partition) -> Iterator[bytes]:
        path = landing_path(dataset, partition)
        with self._translate_errors():
            files = filesystem.open_filesystem(self.uri, self.storage_options)
            with files.open_input_stream(path, compression=None) as stream:
                yield from read_chunks(stream, self.max_bytes, gzip=path.endswith(".gz"))

    def _missing_rows(self, dataset: Dataset, partitions: Sequence[Partition]) -> list[Partition]:
        newest = self._find_newest(dataset, partitions[0])
        return [partition for partition in partitions if newest is None or partition > newest]

    def _find_newest(self, dataset: Dataset, partition: Partition) -> Partition | None:
        """Return the newest partition in the file of all; None if it has not landed, or no row names one."""
        with self._translate_errors():
            files = filesystem.open_filesystem(self.uri, self.storage_options)
            info = files.get_file_info(landing_path(dataset, partition))
        if info.type != FileType.File:
            return None
        state = (info.size, info.mtime_ns)
        earlier_state, newest = self.newest.get(dataset.name, (None, None))
        if state == earlier_state:
            return newest
        chunks = self._read_file(dataset, partition)
        newest = newest_partition(dataset, chunks, self.location(dataset, partition))
        if info.mtime is not None and datetime.now(UTC) - info.mtime > MTIME_RESOLUTION:
            self.newest[dataset.name] = (state, newest)
        return newest

    def _read_rows(self, dataset: Dataset, partitions: Sequence[Partition]) -> Extract:
        location = self.location(dataset, partitions[0])
        if self._is_absent(dataset, partitions[0]):
            raise PartitionMissing(f"{location} has not landed. Ask the sender of {dataset.name} for it.")
        return extract_rows(dataset, self._read_file(dataset, partitions[0]), partitions, location)

    def _is_absent(self, dataset: Dataset, partition: Partition) -> bool:
        with self._translate_errors():
            files = filesystem.open_filesystem(self.uri, self.storage_options)
            return bool(filesystem.find_missing(files, [landing_path(dataset, partition)]))

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


def read_chunks(stream: IO[bytes], max_bytes: int, *, gzip: bool) -> Iterator[bytes]:
    """
    Yield the content of a file in chunks.

    Raises
    ------
    Unreadable
        If the file is cut off, is no gzip file, or is larger than `max_bytes`.
    """
    source = GzipFile(fileobj=stream, mode="rb") if gzip else stream
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
