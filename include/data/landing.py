"""The folder in which upstream leaves one file per dataset and day."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import csv, parquet

from include.data import schemas, storage
from include.data.outages import CONNECTION, reached
from include.declarations import FileSource
from include.errors import DataError, DeclarationError, PartitionMissing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    import pandas as pd

    from include.declarations import Dataset


@dataclass(frozen=True, slots=True)
class Landing:
    """Files below `uri`, a local path or `s3://…`; `connection` is what errors tell people to correct."""

    uri: str
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)
    connection: str = CONNECTION

    def path(self, dataset: Dataset, day: date) -> str:
        """Return where the file of a day lands."""
        return f"{self.uri.rstrip('/')}/{_file(dataset, day)}"

    @reached
    def missing(self, dataset: Dataset, days: Sequence[date]) -> list[date]:
        """Return the days whose file has not landed."""
        files = storage.filesystem(self.uri, self.storage_options)
        paths = {day: _file(dataset, day) for day in days}
        absent = storage.missing(files, list(paths.values()))
        return [day for day in days if paths[day] in absent]

    @reached
    def read(self, dataset: Dataset, days: Sequence[date]) -> pd.DataFrame:
        """
        Return the rows of these days in their declared types, with `day` as YYYY-MM-DD.

        A column with a value that does not parse stays text, for the quality gate to refuse the row.

        :raises PartitionMissing: naming the first file that has not landed
        :raises DataError: naming a file that cannot be read, and the columns that it lacks
        """
        absent = self.missing(dataset, days)
        if absent or not days:
            raise PartitionMissing(
                f"{dataset.name}: {len(absent)} of {len(days)} files have not landed"
                + (f", the first is {self.path(dataset, absent[0])}" if absent else "")
                + ". Ask upstream for them, or choose days that landed."
            )
        files = storage.filesystem(self.uri, self.storage_options)
        contents = {day: files.open_input_stream(_file(dataset, day)).read() for day in days}
        wanted = schemas.declared(dataset.columns)
        try:
            return schemas.to_frame(
                pa.concat_tables(_table(content, dataset, wanted, day) for day, content in contents.items())
            )
        except pa.ArrowException:
            return self._read_text(dataset, contents)

    def _read_text(self, dataset: Dataset, contents: Mapping[date, bytes]) -> pd.DataFrame:
        text = pa.schema([(column.name, pa.string()) for column in dataset.columns])
        parts = []
        for day, content in contents.items():
            try:
                parts.append(_table(content, dataset, text, day))
            except pa.ArrowException as error:
                raise DataError(
                    f"{self.path(dataset, day)} cannot be read: {error}. Have upstream send it again, "
                    f"or correct the declaration of {dataset.name}."
                ) from error
        frame = schemas.to_frame(pa.concat_tables(parts))
        for column in dataset.columns:
            typed, misfits = schemas.conform(frame[column.name], column.dtype)
            if not misfits.any():
                frame[column.name] = typed
        return frame


def _file(dataset: Dataset, day: date) -> str:
    return source_of(dataset).path.replace("{partition}", day.isoformat())


def source_of(dataset: Dataset) -> FileSource:
    """
    Return the declared files of a dataset.

    :raises DeclarationError: if it comes from elsewhere
    """
    if not isinstance(dataset.source, FileSource):
        raise DeclarationError(f"{dataset.name} comes from {dataset.source.kind}: it has no landing files.")
    return dataset.source


def _table(content: bytes, dataset: Dataset, schema: pa.Schema, day: date) -> pa.Table:
    readers = {"csv": _read_csv, "parquet": _read_parquet}
    read = readers[source_of(dataset).format]
    table = read(content, schema)
    return table.append_column("day", pa.repeat(pa.scalar(day.isoformat()), table.num_rows))


def _read_csv(content: bytes, schema: pa.Schema) -> pa.Table:
    _require(schema.names, csv.open_csv(BytesIO(content)).schema.names)
    options = csv.ConvertOptions(
        column_types=schema, include_columns=schema.names, null_values=[""], strings_can_be_null=True
    )  # "NA" is a country's code as well: only nothing is null
    return csv.read_csv(BytesIO(content), convert_options=options)


def _read_parquet(content: bytes, schema: pa.Schema) -> pa.Table:
    table = parquet.read_table(pa.BufferReader(content))
    _require(schema.names, table.schema.names)
    return table.select(schema.names).cast(schema)


def _require(wanted: list[str], found: list[str]) -> None:
    lacking = [name for name in wanted if name not in found]
    if lacking:
        raise pa.ArrowInvalid(f"it lacks {', '.join(lacking)}, it has {', '.join(found)}")
