"""The folder or bucket in which upstream leaves one file per dataset and partition."""

from __future__ import annotations

import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from gzip import BadGzipFile, GzipFile
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from include import partitions as names
from include.data.lake import dtypes, partition_columns
from include.data.sources import formats
from include.data.sources.base import MALFORMED, Extract
from include.data.sources.formats import Layout, Unreadable
from include.declarations import FileSource
from include.errors import DataError, DeclarationError, PartitionMissing
from include.storage import filesystem
from include.storage.errors import CONNECTION, with_translated_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from include.declarations import Dataset
    from include.partitions import Partition

MAXIMUM_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class Landing:
    """
    Files below `uri`, a local path or `s3://…`, of at most `maximum_bytes` each once they are unpacked.

    `connection` is what errors tell people to correct.
    """

    uri: str
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)
    connection: str = CONNECTION
    maximum_bytes: int = MAXIMUM_BYTES

    def location(self, dataset: Dataset, partition: Partition) -> str:
        """Return where the file of a partition lands."""
        return f"{self.uri.rstrip('/')}/{landing_path(dataset, partition)}"

    @with_translated_errors
    def missing(self, dataset: Dataset, partitions: Sequence[Partition]) -> list[Partition]:
        """Return the partitions whose file has not landed."""
        files = filesystem.open_filesystem(self.uri, self.storage_options)
        paths = {partition: landing_path(dataset, partition) for partition in partitions}
        absent = filesystem.find_missing(files, list(paths.values()))
        return [partition for partition in partitions if paths[partition] in absent]

    @with_translated_errors
    def read(self, dataset: Dataset, partitions: Sequence[Partition]) -> Extract:
        """
        Return the rows of these files.

        :raises PartitionMissing: naming the first file that has not landed
        :raises DataError: naming a file that cannot be read, and what is wrong with it
        """
        absent = self.missing(dataset, partitions)
        if absent or not partitions:
            raise PartitionMissing(
                f"{dataset.name}: {len(absent)} of {len(partitions)} files have not landed"
                + (f", the first is {self.location(dataset, absent[0])}" if absent else "")
                + ". Ask upstream for them, or choose days that landed."
            )
        files, declared = filesystem.open_filesystem(self.uri, self.storage_options), file_source(dataset)
        layout, contents = Layout(dataset.columns, declared.format, declared.delimiter), {}
        for one in partitions:
            with (
                translate_unreadable(dataset, self.location(dataset, one)),
                files.open_input_stream(landing_path(dataset, one), compression=None) as stream,
            ):
                contents[one] = decompress(stream, self.maximum_bytes, gzip=declared.path.endswith(".gz"))
        return assemble(dataset, contents, layout, self.location)


def file_source(dataset: Dataset) -> FileSource:
    """
    Return the declared files of a dataset.

    :raises DeclarationError: if it comes from elsewhere
    """
    if not isinstance(dataset.source, FileSource):
        raise DeclarationError(f"{dataset.name} comes from {dataset.source.kind}: it has no landing files.")
    return dataset.source


def landing_path(dataset: Dataset, partition: Partition) -> str:
    """Return the path of a partition's file below the landing folder."""
    return file_source(dataset).path.replace("{partition}", names.format_partition(partition))


def decompress(stream: BinaryIO, maximum: int, *, gzip: bool) -> bytes:
    """
    Return what a file holds.

    :raises Unreadable: if it is cut off, no gzip, or larger than `maximum`
    """
    try:
        content = GzipFile(fileobj=stream).read(maximum + 1) if gzip else bytes(stream.read(maximum + 1))
    except EOFError as error:
        raise Unreadable("is cut off: its gzip has no end") from error
    except (BadGzipFile, zlib.error) as error:
        raise Unreadable(f"is no gzip, or a damaged one: {error}") from error
    if len(content) > maximum:
        raise Unreadable(
            f"is larger than {maximum / (1 << 20):,.0f} MiB. Have it split, by hours for example"
        )
    return content


def assemble(
    dataset: Dataset,
    contents: Mapping[Partition, bytes],
    layout: Layout,
    place: Callable[[Dataset, Partition], str],
) -> Extract:
    """
    Return the rows of files of one layout, whatever brought them.

    One value that is not of its type makes its column text everywhere: the gate parses a column at once.

    :raises DataError: naming the file that cannot be read, and what is wrong with it
    """

    def parsed(reader: Callable[[bytes, Layout], formats.Parsed]) -> dict[Partition, formats.Parsed]:
        found = {}
        for one, content in contents.items():
            with translate_unreadable(dataset, place(dataset, one)):
                found[one] = reader(content, layout)
        return found

    try:
        files, conform = parsed(formats.parse_typed), False
    except pa.ArrowException:
        files, conform = parsed(formats.parse_as_text), True
    frames = [partition_columns.with_partition_columns(file.frame(), one) for one, file in files.items()]
    frame = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    remarks = [
        f"{place(dataset, one)} has columns that nobody declared: {', '.join(file.undeclared)}"
        for one, file in files.items()
        if file.undeclared
    ]
    if conform or MALFORMED in frame:
        frame = match_columns(frame, dataset)
    return Extract(frame, tuple(remarks))


def match_columns(frame: pd.DataFrame, dataset: Dataset) -> pd.DataFrame:
    """Return the frame with every column in its declared type that has no value that does not fit."""
    for column in dataset.columns:
        typed, misfits = dtypes.coerce(frame[column.name], column.dtype)
        if not misfits.any():
            frame[column.name] = typed
    return frame


@contextmanager
def translate_unreadable(dataset: Dataset, place: str) -> Iterator[None]:
    """
    Say of which place something is that cannot be read.

    :raises DataError: naming it, and what to do
    """
    try:
        yield
    except Unreadable as error:
        raise DataError(
            f"{place} {error}. Have upstream send it again, or correct the declaration of {dataset.name}; "
            "then clear this task."
        ) from error
