"""Files of rows, as CSV, JSON lines or Parquet: what is in them, and what in them is no row."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
from pyarrow import csv, parquet
from pyarrow import json as lines

from include.data.lake import dtypes
from include.data.sources.base import MALFORMED, MALFORMED_REASON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from include.declarations import Column, Format

BOM = b"\xef\xbb\xbf"
_DELIMITERS = ",;\t|"


class Unreadable(Exception):
    """A file is not what it is declared to be; the text says why, without its name."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is written, and which columns it has to have."""

    columns: tuple[Column, ...]
    format: Format
    delimiter: str = ","

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]


@dataclass(frozen=True, slots=True)
class Parsed:
    """The rows of a file, the lines that are none with the reason, and columns that nobody declared."""

    rows: pa.Table | pd.DataFrame = field(repr=False)
    unread: tuple[tuple[str, str], ...] = ()
    undeclared: tuple[str, ...] = ()

    def frame(self) -> pd.DataFrame:
        """Return the rows, and below them the lines that are none."""
        frame = self.rows if isinstance(self.rows, pd.DataFrame) else dtypes.to_frame(self.rows)
        if not self.unread:
            return frame
        lost = pd.DataFrame(self.unread, columns=[MALFORMED, MALFORMED_REASON])
        return pd.concat([frame.astype(object), lost], ignore_index=True)


def parse_typed(content: bytes, layout: Layout) -> Parsed:
    """
    Return the rows in their declared types, the fast way.

    :raises Unreadable: if the file as a whole is not what it is declared to be
    :raises pyarrow.ArrowException: if a value is not of its type; `untyped` reads such a file
    """
    return _READERS[layout.format](content, layout, dtypes.arrow_schema(layout.columns))


def parse_as_text(content: bytes, layout: Layout) -> Parsed:
    """
    Return the rows with every value as its text, whatever it is.

    :raises Unreadable: if that cannot be done
    """
    if layout.format == "jsonl":
        return _objects(content, layout)
    text = pa.schema([(name, pa.string()) for name in layout.names])
    try:
        return _READERS[layout.format](content, layout, text)
    except pa.ArrowException as error:
        raise Unreadable(f"cannot be read: {error}") from error


def _csv(content: bytes, layout: Layout, schema: pa.Schema) -> Parsed:
    if not content.removeprefix(BOM).strip():
        raise Unreadable("is empty: not even a header")
    _require_utf8(content)
    unread: list[tuple[str, str]] = []

    def keep(row: csv.InvalidRow) -> str:
        unread.append((row.text, f"it has {row.actual_columns} fields, not {row.expected_columns}"))
        return "skip"

    parse = csv.ParseOptions(delimiter=layout.delimiter, newlines_in_values=True, invalid_row_handler=keep)
    undeclared = _compared(_header(content, layout), layout)
    options = csv.ConvertOptions(
        column_types=schema, include_columns=schema.names, null_values=[""], strings_can_be_null=True
    )  # "NA" is a country's code as well: only nothing is null
    table = csv.read_csv(BytesIO(content), parse_options=parse, convert_options=options)
    return Parsed(table, tuple(unread), undeclared)


def _header(content: bytes, layout: Layout) -> list[str]:
    parse = csv.ParseOptions(
        delimiter=layout.delimiter, newlines_in_values=True, invalid_row_handler=lambda _: "skip"
    )
    return list(csv.open_csv(BytesIO(content), parse_options=parse).schema.names)


def _jsonl(content: bytes, layout: Layout, schema: pa.Schema) -> Parsed:
    _require_utf8(content)
    if not content.removeprefix(BOM).strip():
        return Parsed(schema.empty_table())
    # Read as text, since it would take a moment without a zone for one in UTC.
    as_text = [
        pa.field(one.name, pa.string() if pa.types.is_timestamp(one.type) else one.type) for one in schema
    ]
    options = lines.ParseOptions(explicit_schema=pa.schema(as_text))
    table = lines.read_json(BytesIO(content), parse_options=options)
    absent = {name for name in layout.names if table[name].null_count == table.num_rows}
    absent -= _keys(content, absent)
    undeclared = _compared([name for name in table.schema.names if name not in absent], layout)
    return Parsed(_with_moments(table.select(layout.names), schema), (), undeclared)


def _with_moments(table: pa.Table, schema: pa.Schema) -> pa.Table:
    for position, one in enumerate(schema):
        if pa.types.is_timestamp(one.type):
            moments, misfits = dtypes.coerce(table[position].to_pandas(), "timestamp")
            if misfits.any():
                raise pa.ArrowInvalid(f"{one.name} is no moment with a zone everywhere")
            table = table.set_column(position, one, pa.array(moments, one.type, from_pandas=True))
    return table


def _parquet(content: bytes, layout: Layout, schema: pa.Schema) -> Parsed:
    if not content:
        raise Unreadable("is empty: no Parquet at all")
    try:
        table = parquet.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise Unreadable(f"cannot be read: {error}") from error
    undeclared = _compared(table.schema.names, layout)
    return Parsed(table.select(schema.names).cast(schema), (), undeclared)


_READERS: dict[str, Callable[[bytes, Layout, pa.Schema], Parsed]] = {
    "csv": _csv,
    "jsonl": _jsonl,
    "parquet": _parquet,
}


def _objects(content: bytes, layout: Layout) -> Parsed:
    """Read JSON lines one by one; whatever is no object is no row."""
    _require_utf8(content)
    found: dict[str, None] = {}
    rows: list[list[Any]] = []
    unread: list[tuple[str, str]] = []
    for line in _lines(content):
        try:
            record = json.loads(line)
        except ValueError as error:
            unread.append((line, f"it is no JSON: {error}"))
            continue
        if not isinstance(record, dict):
            unread.append((line, f"it is no JSON object, but {type(record).__name__}"))
            continue
        found |= dict.fromkeys(record)
        rows.append([_text(record.get(column.name), column.dtype) for column in layout.columns])
    undeclared = _compared(list(found), layout) if rows else ()
    frame = pd.DataFrame(rows, columns=layout.names, dtype=object)
    return Parsed(frame, tuple(unread), undeclared)


def _text(value: Any, dtype: str) -> Any:
    """Return what `conform` parses; of a column of text the value itself, since a number is no text."""
    if value is None or isinstance(value, str) or dtype == "string":
        return value
    return json.dumps(value)


def _keys(content: bytes, wanted: set[str]) -> set[str]:
    """Return which of these names stand in some line: a column of nothing but nulls is there all the same."""
    found: set[str] = set()
    for line in _lines(content) if wanted else ():
        found |= wanted & json.loads(line).keys()
        if found == wanted:
            break
    return found


def _lines(content: bytes) -> Iterator[str]:
    return (line for line in content.removeprefix(BOM).decode().split("\n") if line.strip())


def _require_utf8(content: bytes) -> None:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Unreadable(
            f"is not in UTF-8, as it has to be: byte 0x{content[error.start]:02x} in line {line}"
        ) from error


def _compared(found: list[str], layout: Layout) -> tuple[str, ...]:
    """Return what nobody declared, if all that is declared is there, once."""
    lacking = [name for name in layout.names if name not in found]
    twice = sorted({name for name in layout.names if found.count(name) > 1})
    if lacking:
        raise Unreadable(
            f"lacks {', '.join(lacking)}; it has {', '.join(found)}{_delimiter_of(found, layout)}"
        )
    if twice:
        raise Unreadable(f"has {', '.join(twice)} twice")
    return tuple(name for name in dict.fromkeys(found) if name not in layout.names)


def _delimiter_of(found: list[str], layout: Layout) -> str:
    if layout.format != "csv" or len(found) != 1:
        return ""
    other = next((sign for sign in _DELIMITERS if sign != layout.delimiter and sign in found[0]), None)
    return f". Its delimiter seems to be {other!r}, declared is {layout.delimiter!r}" if other else ""
