"""Source of files: a folder or bucket with one file per dataset and partition."""

from __future__ import annotations

import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from gzip import BadGzipFile, GzipFile
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from include.data.lake import dtypes, partition_columns
from include.data.sources import formats
from include.data.sources.base import MALFORMED, Extract
from include.data.sources.formats import Layout, Unreadable
from include.declarations import FileSource
from include.errors import DataError, DeclarationError, PartitionMissing
from include.partitions import format_partition
from include.storage import filesystem
from include.storage.errors import DEFAULT_CONNECTION, translate_storage_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import BinaryIO, TypeAlias

    from include.declarations import Dataset
    from include.partitions import Partition

    Locate: TypeAlias = Callable[[Dataset, Partition], str]
    Parser: TypeAlias = Callable[[bytes, Layout], formats.Parsed]

MAX_BYTES = 2 << 30
MEBIBYTE = 1 << 20


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
        declared = file_source(dataset)
        gzip = declared.path.endswith(".gz")
        contents: dict[Partition, bytes] = {}
        with self._translate_errors():
            files = filesystem.open_filesystem(self.uri, self.storage_options)
            for partition in partitions:
                path = landing_path(dataset, partition)
                with (
                    translate_unreadable(dataset, self.location(dataset, partition)),
                    files.open_input_stream(path, compression=None) as stream,
                ):
                    contents[partition] = decompress(stream, self.max_bytes, gzip=gzip)
        layout = Layout(dataset.columns, declared.format, declared.delimiter)
        return assemble(dataset, contents, layout, self.location)

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


def decompress(stream: BinaryIO, max_bytes: int, *, gzip: bool) -> bytes:
    """
    Return the content of a file.

    Raises
    ------
    Unreadable
        If the file is cut off, is no gzip file, or is larger than `max_bytes`.
    """
    source = GzipFile(fileobj=stream) if gzip else stream
    try:
        content = bytes(source.read(max_bytes + 1))
    except EOFError as error:
        raise Unreadable("is cut off: its gzip has no end") from error
    except (BadGzipFile, zlib.error) as error:
        raise Unreadable(f"is no gzip, or a damaged one: {error}") from error
    if len(content) > max_bytes:
        raise Unreadable(
            f"is larger than {max_bytes / MEBIBYTE:,.0f} MiB. Have it split, for example by hours"
        )
    return content


def assemble(
    dataset: Dataset, contents: Mapping[Partition, bytes], layout: Layout, location: Locate
) -> Extract:
    """
    Parse files of one layout and return their rows.

    A value that does not fit its type makes its column text in all files, so that the quality gate parses
    a column in one pass.

    Parameters
    ----------
    dataset
        The dataset of the files.
    contents
        Content of each file, by partition.
    layout
        Format of all files.
    location
        Function that names the file of a partition in messages.

    Raises
    ------
    DataError
        With the file that cannot be read, and the reason.
    """
    try:
        files = _parse_files(dataset, contents, layout, location, formats.parse_typed)
        all_typed = True
    except pa.ArrowException:
        files = _parse_files(dataset, contents, layout, location, formats.parse_as_text)
        all_typed = False
    frames = [
        partition_columns.with_partition_columns(file.frame(), partition) for partition, file in files.items()
    ]
    frame = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    remarks = [
        f"{location(dataset, partition)} has columns that are not declared: {', '.join(file.undeclared)}"
        for partition, file in files.items()
        if file.undeclared
    ]
    if not all_typed or MALFORMED in frame:
        frame = match_columns(frame, dataset)
    return Extract(frame, tuple(remarks))


def match_columns(frame: pd.DataFrame, dataset: Dataset) -> pd.DataFrame:
    """Convert the columns in which all values fit to their declared type."""
    for column in dataset.columns:
        typed, misfits = dtypes.coerce(frame[column.name], column.dtype)
        if not misfits.any():
            frame[column.name] = typed
    return frame


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


def _parse_files(
    dataset: Dataset, contents: Mapping[Partition, bytes], layout: Layout, location: Locate, parse: Parser
) -> dict[Partition, formats.Parsed]:
    files = {}
    for partition, content in contents.items():
        with translate_unreadable(dataset, location(dataset, partition)):
            files[partition] = parse(content, layout)
    return files
