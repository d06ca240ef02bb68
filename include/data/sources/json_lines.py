"""Parser of JSON lines: one object in each line."""

from __future__ import annotations

import json as standard_json
from decimal import Decimal
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json

from include.data.lake.dtypes import TYPES
from include.data.reading.columns import TypedColumn, read_values
from include.data.reading.raw import escape
from include.data.reading.table import MalformedLine, assemble_table, malformed_table, read_table
from include.data.sources.formats import Block, Layout
from include.data.sources.lines import count_lines, line_blocks, split_block

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# A block that Arrow cannot parse is parsed again in parts, down to this size.
PART_BYTES = 1 << 19
# Python refuses to convert longer texts to integers.
MAX_INTEGER_DIGITS = 40
# Brackets in a line that Arrow may parse: it has no limit, and too deep a line exhausts its stack.
MAX_BRACKETS = 500


def parse_json_lines(chunks: Iterable[bytes], layout: Layout) -> Iterator[Block]:
    """
    Parse a file of JSON lines; a line that is no object with each key once is malformed.

    Raises
    ------
    Unreadable
        If no line has one of the declared columns.
    """
    parser = _JsonParser(layout)
    for number, content in line_blocks(chunks):
        yield from parser.parse(content, number)
    if parser.names:
        layout.undeclared(list(parser.names))
    else:
        yield Block(
            assemble_table({name: TypedColumn(values) for name, values in parser.no_values().items()}, 0)
        )


class _JsonParser:
    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        # Names of keys in any line so far; a dict keeps their order.
        self.names: dict[str, None] = {}

    def no_values(self) -> dict[str, pa.Array]:
        """Return empty columns."""
        return {column.name: pa.nulls(0, TYPES[column.dtype]) for column in self.layout.columns}

    def parse(self, content: bytes, first_line: int) -> Iterator[Block]:
        """Yield the rows of some whole lines."""
        table = self._parse_with_arrow(content)
        parts = list(split_block(content, PART_BYTES)) if table is None else []
        if table is not None:
            yield self._block(table)
        elif len(content) <= 2 * PART_BYTES or len(parts) == 1:
            yield self._block(self._parse_objects(content, first_line))
        else:
            for part in parts:
                yield from self.parse(part, first_line)
                first_line += count_lines(part)

    def _block(self, table: pa.Table) -> Block:
        declared = self.layout.names_in_file.values()
        return Block(table, tuple(escape(name) for name in self.names if name not in declared))

    def _parse_with_arrow(self, content: bytes) -> pa.Table | None:
        """Return the rows if each line is surely one object that Arrow can parse, else None."""
        n_lines = content.count(b"\n")
        n_borders = content.count(b"}\n{") + content.count(b"}\r\n{")
        is_regular = content[:1] == b"{" and content.rstrip(b"\r\n")[-1:] == b"}"
        # With a line end in an object, or two objects in a line, the numbers differ.
        if not is_regular or n_borders != n_lines - 1 or b"\r" in content.replace(b"\r\n", b""):
            return None
        if _may_be_too_deep(content, n_lines):
            return None
        fields = [
            pa.field(self.layout.names_in_file[column.name], _json_type(column.dtype))
            for column in self.layout.columns
        ]
        options = json.ParseOptions(explicit_schema=pa.schema(fields))
        try:
            table = json.read_json(BytesIO(content), parse_options=options)
        except pa.ArrowException:
            return None
        if table.num_rows != n_lines or not all(map(_is_finite, table.columns)):
            return None
        self._record_names(table, content)
        return read_table(table, self.layout.columns, self.layout.spelling, self.layout.names_in_file)

    def _record_names(self, table: pa.Table, content: bytes) -> None:
        """Record the keys; Arrow's table has every declared one, also those that no line has."""
        unsure = {
            name
            for name in self.layout.names_in_file.values()
            if name not in self.names and table[name].null_count == table.num_rows
        }
        self.names |= dict.fromkeys(name for name in table.schema.names if name not in unsure)
        if unsure:
            for line in content.splitlines():
                self.names |= dict.fromkeys(name for name in standard_json.loads(line) if name in unsure)
                if unsure <= self.names.keys():
                    break

    def _parse_objects(self, content: bytes, first_line: int) -> pa.Table:
        """Parse line by line."""
        records: list[dict[str, Any]] = []
        malformed: list[MalformedLine] = []
        for number, line in enumerate(content.splitlines(), first_line):
            if not line.strip():
                continue
            text = line.decode()
            try:
                records.append(_parse_object(text))
            except _NoObject as error:
                malformed.append(MalformedLine(number, text, str(error)))
        for record in records:
            self.names |= dict.fromkeys(record)
        columns = {
            column.name: read_values(
                _values_of(records, self.layout.names_in_file[column.name]),
                column.dtype,
                self.layout.spelling,
            )
            for column in self.layout.columns
        }
        table = assemble_table(columns, len(records))
        return pa.concat_tables([table, malformed_table(malformed, self.layout.columns)])


def _values_of(records: list[dict[str, Any]], name: str) -> list[Any]:
    return [record.get(name) for record in records]


def _json_type(dtype: str) -> pa.DataType:
    """Return the type that Arrow reads: it would take a moment without a zone as UTC."""
    return pa.string() if dtype == "timestamp" else TYPES[dtype]


def _may_be_too_deep(content: bytes, n_lines: int) -> bool:
    """Return whether a line has so many brackets that it may be nested too deeply."""
    if content.count(b"{") + content.count(b"[") <= n_lines + MAX_BRACKETS:
        return False
    return any(line.count(b"{") + line.count(b"[") > MAX_BRACKETS for line in content.splitlines())


def _is_finite(values: pa.ChunkedArray) -> bool:
    """Return whether each number fits a double: Arrow rounds the others to infinity."""
    if not pa.types.is_floating(values.type):
        return True
    return bool(pc.all(pc.is_finite(values)).as_py() is not False)


class _NoObject(Exception):
    """A line is no object with each key once; the message says why."""


def _parse_object(line: str) -> dict[str, Any]:
    """
    Return the object in a line, with exact numbers.

    Raises
    ------
    _NoObject
        If the line is no object with each key once.
    """
    try:
        record = standard_json.loads(
            line, parse_float=Decimal, parse_int=_exact_integer, object_pairs_hook=_unique_keys
        )
    except standard_json.JSONDecodeError as error:
        raise _NoObject(f"it is no JSON: {error}") from error
    except RecursionError as error:
        raise _NoObject("it is no JSON: it is nested too deeply") from error
    if not isinstance(record, dict):
        raise _NoObject(f"it is no JSON object, but {type(record).__name__}")
    return record


def _exact_integer(text: str) -> int | Decimal:
    # An integer of Python has no negative zero, which a double has.
    is_integer = len(text) <= MAX_INTEGER_DIGITS and text != "-0"
    return int(text) if is_integer else Decimal(text)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise _NoObject(f"it has {', '.join(repeated)} more than once")
    return record
