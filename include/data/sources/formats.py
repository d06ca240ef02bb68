"""Parsers of files with rows: CSV, JSON lines and Parquet."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from json import dumps, loads
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
from pyarrow import csv, json, parquet

from include.data.lake import dtypes
from include.data.sources.base import MALFORMED, MALFORMED_REASON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from include.declarations import Column, Format

BOM = b"\xef\xbb\xbf"
# Delimiters that a file of one column may have instead of the declared one.
_DELIMITERS = ",;\t|"


class Unreadable(Exception):
    """A file is not what is declared; the message continues the name of the file with the reason."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Format of a file and the columns that it must have."""

    columns: tuple[Column, ...]
    format: Format
    delimiter: str = ","

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [column.name for column in self.columns]


@dataclass(frozen=True, slots=True)
class Parsed:
    """
    The content of a file.

    Parameters
    ----------
    rows
        Rows with the declared columns.
    malformed
        Lines that cannot be parsed as a row, each with the reason.
    undeclared
        Names of columns that are not declared.
    """

    rows: pa.Table | pd.DataFrame = field(repr=False)
    malformed: tuple[tuple[str, str], ...] = ()
    undeclared: tuple[str, ...] = ()

    def frame(self) -> pd.DataFrame:
        """Return the rows, followed by the malformed lines."""
        frame = self.rows if isinstance(self.rows, pd.DataFrame) else dtypes.to_frame(self.rows)
        if not self.malformed:
            return frame
        malformed = pd.DataFrame(self.malformed, columns=[MALFORMED, MALFORMED_REASON])
        return pd.concat([frame.astype(object), malformed], ignore_index=True)


def parse_typed(content: bytes, layout: Layout) -> Parsed:
    """
    Parse a file into the declared types.

    Raises
    ------
    Unreadable
        If the file as a whole is not what is declared.
    pyarrow.ArrowException
        If a value does not fit its type; `parse_as_text` parses such a file.
    """
    return _PARSERS[layout.format](content, layout, dtypes.arrow_schema(layout.columns))


def parse_as_text(content: bytes, layout: Layout) -> Parsed:
    """
    Parse a file with each value as text.

    Raises
    ------
    Unreadable
        If the file cannot be parsed.
    """
    if layout.format == "jsonl":
        return _parse_json_objects(content, layout)
    schema = pa.schema([(name, pa.string()) for name in layout.names])
    try:
        return _PARSERS[layout.format](content, layout, schema)
    except pa.ArrowException as error:
        raise Unreadable(f"cannot be read: {error}") from error


def _parse_csv(content: bytes, layout: Layout, schema: pa.Schema) -> Parsed:
    if not content.removeprefix(BOM).strip():
        raise Unreadable("is empty: not even a header")
    _require_utf8(content)
    malformed: list[tuple[str, str]] = []

    def record_malformed(row: csv.InvalidRow) -> str:
        malformed.append((row.text, f"it has {row.actual_columns} fields, not {row.expected_columns}"))
        return "skip"

    undeclared = _undeclared_columns(_csv_header(content, layout), layout)
    # "NA" may be a country's code: only an empty field is null.
    convert_options = csv.ConvertOptions(
        column_types=schema, include_columns=schema.names, null_values=[""], strings_can_be_null=True
    )
    parse_options = _csv_options(layout, record_malformed)
    table = csv.read_csv(BytesIO(content), parse_options=parse_options, convert_options=convert_options)
    return Parsed(table, tuple(malformed), undeclared)


def _csv_header(content: bytes, layout: Layout) -> list[str]:
    options = _csv_options(layout, lambda _: "skip")
    return list(csv.open_csv(BytesIO(content), parse_options=options).schema.names)


def _csv_options(layout: Layout, on_malformed: Callable[[csv.InvalidRow], str]) -> csv.ParseOptions:
    return csv.ParseOptions(
        delimiter=layout.delimiter, newlines_in_values=True, invalid_row_handler=on_malformed
    )


def _parse_jsonl(content: bytes, layout: Layout, schema: pa.Schema) -> Parsed:
    _require_utf8(content)
    if not content.removeprefix(BOM).strip():
        return Parsed(schema.empty_table())
    options = json.ParseOptions(explicit_schema=pa.schema([_timestamp_as_text(column) for column in schema]))
    table = json.read_json(BytesIO(content), parse_options=options)
    absent = {name for name in layout.names if table[name].null_count == table.num_rows}
    absent -= _names_in_lines(content, absent)
    existing = [name for name in table.schema.names if name not in absent]
    undeclared = _undeclared_columns(existing, layout)
    return Parsed(_parse_timestamps(table.select(layout.names), schema), (), undeclared)


def _timestamp_as_text(column: pa.Field) -> pa.Field:
    """Return the field as text if it is a timestamp: Arrow would take a moment without a zone as UTC."""
    return pa.field(column.name, pa.string() if pa.types.is_timestamp(column.type) else column.type)


def _parse_timestamps(table: pa.Table, schema: pa.Schema) -> pa.Table:
    for position, column in enumerate(schema):
        if pa.types.is_timestamp(column.type):
            moments, misfits = dtypes.coerce(table[position].to_pandas(), "timestamp")
            if misfits.any():
                raise pa.ArrowInvalid(f"{column.name} has values that are no moment with a zone")
            table = table.set_column(position, column, pa.array(moments, column.type, from_pandas=True))
    return table


def _parse_parquet(content: bytes, layout: Layout, schema: pa.Schema) -> Parsed:
    if not content:
        raise Unreadable("is empty: no Parquet at all")
    try:
        table = parquet.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise Unreadable(f"cannot be read: {error}") from error
    undeclared = _undeclared_columns(table.schema.names, layout)
    return Parsed(table.select(schema.names).cast(schema), (), undeclared)


_PARSERS: dict[str, Callable[[bytes, Layout, pa.Schema], Parsed]] = {
    "csv": _parse_csv,
    "jsonl": _parse_jsonl,
    "parquet": _parse_parquet,
}


def _parse_json_objects(content: bytes, layout: Layout) -> Parsed:
    """Parse JSON lines one by one; a line that is no object is malformed."""
    _require_utf8(content)
    # A dict keeps the names in their order.
    names: dict[str, None] = {}
    rows: list[list[Any]] = []
    malformed: list[tuple[str, str]] = []
    for line in _non_empty_lines(content):
        try:
            record = loads(line)
        except ValueError as error:
            malformed.append((line, f"it is no JSON: {error}"))
            continue
        if not isinstance(record, dict):
            malformed.append((line, f"it is no JSON object, but {type(record).__name__}"))
            continue
        names |= dict.fromkeys(record)
        rows.append([_to_text(record.get(column.name), column.dtype) for column in layout.columns])
    undeclared = _undeclared_columns(list(names), layout) if rows else ()
    frame = pd.DataFrame(rows, columns=layout.names, dtype=object)
    return Parsed(frame, tuple(malformed), undeclared)


def _to_text(value: Any, dtype: str) -> Any:
    """Return text for `dtypes.coerce`; values of text columns stay, since a number does not fit them."""
    if value is None or isinstance(value, str) or dtype == "string":
        return value
    return dumps(value)


def _names_in_lines(content: bytes, names: set[str]) -> set[str]:
    """Return those of `names` that some line has: a column of nulls only is not missing."""
    present: set[str] = set()
    if not names:
        return present
    for line in _non_empty_lines(content):
        present |= names & loads(line).keys()
        if present == names:
            break
    return present


def _non_empty_lines(content: bytes) -> Iterator[str]:
    return (line for line in content.removeprefix(BOM).decode().split("\n") if line.strip())


def _require_utf8(content: bytes) -> None:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Unreadable(
            f"is not encoded in UTF-8: byte 0x{content[error.start]:02x} in line {line}"
        ) from error


def _undeclared_columns(names: list[str], layout: Layout) -> tuple[str, ...]:
    """Return the names that are not declared; raise Unreadable unless each declared one occurs once."""
    missing = [name for name in layout.names if name not in names]
    if missing:
        hint = _delimiter_hint(names, layout)
        raise Unreadable(f"lacks {', '.join(missing)}; it has {', '.join(names)}{hint}")
    repeated = sorted({name for name in layout.names if names.count(name) > 1})
    if repeated:
        raise Unreadable(f"has {', '.join(repeated)} twice")
    return tuple(name for name in dict.fromkeys(names) if name not in layout.names)


def _delimiter_hint(names: list[str], layout: Layout) -> str:
    """Return a note for a CSV file whose only column contains another delimiter."""
    if layout.format != "csv" or len(names) != 1:
        return ""
    for delimiter in _DELIMITERS:
        if delimiter != layout.delimiter and delimiter in names[0]:
            return f". Its delimiter seems to be {delimiter!r}, declared is {layout.delimiter!r}"
    return ""
