"""
Parser of CSV files.

Arrow parses, because it is fast. Which lines are rows is counted in the file itself: Arrow lets a quote that
is never closed swallow the lines after it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from include.data.lake.dtypes import TYPES
from include.data.reading.columns import MAX_MOMENT, MIN_MOMENT, TypedColumn, read_text
from include.data.reading.table import MalformedLine, assemble_table, malformed_table
from include.data.sources.formats import Block, Layout, Unreadable
from include.data.sources.lines import count_lines, line_blocks, split_block

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# A block in which a line or a value is irregular is parsed again in parts, down to this size.
PART_BYTES = 1 << 19


def parse_delimited(chunks: Iterable[bytes], layout: Layout) -> Iterator[Block]:
    """
    Parse a CSV file with a header.

    Raises
    ------
    Unreadable
        If the file as a whole is not what is declared.
    """
    blocks = line_blocks(chunks)
    header: list[str] = []
    for number, block in blocks:
        header_number, header_line, rest = _split_header(number, block)
        if not header_line:
            continue
        header = _read_header(header_line, layout)
        undeclared = layout.undeclared(header)
        parser = _CsvParser(layout, tuple(header))
        parts: Iterator[tuple[int, bytes]] = chain([(header_number + 1, rest)], blocks)
        if layout.source.multiline:
            parts = iter([(header_number + 1, b"".join(content for _, content in parts))])
        for first_line, content in parts:
            yield Block(parser.parse(content, first_line), undeclared)
        return
    if not header:
        raise Unreadable("is empty: not even a header")


def _split_header(number: int, block: bytes) -> tuple[int, bytes, bytes]:
    """Return the number of the first line that is not empty, the line, and what follows it."""
    content = block.lstrip(b"\r\n")
    number += count_lines(block[: len(block) - len(content)])
    lines = content.splitlines(keepends=True)[:1] if content.strip() else []
    header = lines[0] if lines else b""
    return number, header, content[len(header) :]


def _read_header(line: bytes, layout: Layout) -> list[str]:
    options = _parse_options(layout)
    try:
        return list(csv.open_csv(BytesIO(line.rstrip(b"\r\n") + b"\n"), parse_options=options).schema.names)
    except pa.ArrowException as error:
        raise Unreadable(f"has a header that cannot be read: {error}") from error


def _parse_options(layout: Layout) -> csv.ParseOptions:
    source = layout.source
    return csv.ParseOptions(
        delimiter=source.delimiter,
        quote_char=source.quote or False,
        escape_char=source.escape or False,
        newlines_in_values=source.multiline,
    )


@dataclass(frozen=True, slots=True)
class _Record:
    """A line of a file, or several if a quoted value holds line ends; `problem` says why it is no row."""

    line: int
    content: bytes
    problem: str = ""


@dataclass(frozen=True)
class _CsvParser:
    layout: Layout
    header: tuple[str, ...]

    def parse(self, content: bytes, first_line: int) -> pa.Table:
        """Return the rows of some whole lines, followed by the malformed ones."""
        table = self._parse_typed(content)
        if table is not None:
            return table
        parts = list(split_block(content, PART_BYTES))
        if len(content) <= 2 * PART_BYTES or len(parts) == 1 or self.layout.source.multiline:
            return self._parse_as_text(content, first_line)
        tables = []
        for part in parts:
            tables.append(self.parse(part, first_line))
            first_line += count_lines(part)
        return pa.concat_tables(tables)

    def _parse_typed(self, content: bytes) -> pa.Table | None:
        """Return the rows if Arrow reads all of them as the rule for text does, else None."""
        source = self.layout.source
        dtypes = {column.dtype for column in self.layout.columns}
        is_special = source.time_format or source.time_zone or source.thousands
        # Arrow would read 0x1F as 31, and U+0000 is no text.
        has_hexadecimal = "integer" in dtypes and (b"0x" in content or b"0X" in content)
        if is_special or has_hexadecimal or b"\0" in content:
            return None
        try:
            table = self._read(content, {column.name: TYPES[column.dtype] for column in self.layout.columns})
        except pa.ArrowException:
            return None
        if table.num_rows != self._count_records(content) or not all(map(_is_ordinary, table.columns)):
            return None
        columns = {name: TypedColumn(table[name]) for name in self.layout.names}
        return assemble_table(columns, table.num_rows)

    def _parse_as_text(self, content: bytes, first_line: int) -> pa.Table:
        types = dict.fromkeys(self.layout.names, pa.string())
        malformed: list[MalformedLine] = []
        try:
            table = self._read(content, types)
            n_records = self._count_records(content)
        except pa.ArrowException:
            table = None
            n_records = 0
        if table is None or table.num_rows != n_records:
            records = list(self._records(content, first_line))
            malformed = [
                MalformedLine(record.line, record.content.decode(), record.problem)
                for record in records
                if record.problem
            ]
            rows = [record.content for record in records if not record.problem]
            table = self._read_rows(rows, types)
        columns = {
            column.name: read_text(table[column.name].combine_chunks(), column.dtype, self.layout.spelling)
            for column in self.layout.columns
        }
        typed = assemble_table(columns, table.num_rows)
        if not malformed:
            return typed
        return pa.concat_tables([typed, malformed_table(malformed, self.layout.columns)])

    def _read_rows(self, rows: list[bytes], types: dict[str, pa.DataType]) -> pa.Table:
        if not rows:
            return pa.schema(types.items()).empty_table()
        try:
            table = self._read(b"\n".join(rows) + b"\n", types)
        except pa.ArrowException as error:
            raise Unreadable(f"cannot be read: {error}") from error
        if table.num_rows != len(rows):
            raise Unreadable(f"cannot be read: {len(rows):,} lines are {table.num_rows:,} rows")
        return table

    def _read(self, content: bytes, types: dict[str, pa.DataType]) -> pa.Table:
        """Return the declared columns as these types; a name in the header may occur more than once."""
        if not content.strip(b"\r\n"):
            return pa.schema(types.items()).empty_table()
        positions = {
            name: str(self.header.index(in_file)) for name, in_file in self.layout.names_in_file.items()
        }
        source = self.layout.source
        read_options = csv.ReadOptions(
            column_names=[str(position) for position in range(len(self.header))],
            block_size=max(len(content), 1) if source.multiline else 1 << 20,
        )
        # "NA" may be a country's code: only an empty field is null unless more is declared.
        convert_options = csv.ConvertOptions(
            column_types={positions[name]: kind for name, kind in types.items()},
            include_columns=list(positions.values()),
            null_values=["", *source.nulls],
            strings_can_be_null=True,
            decimal_point=source.decimal,
        )
        table = csv.read_csv(
            BytesIO(content),
            read_options=read_options,
            parse_options=_parse_options(self.layout),
            convert_options=convert_options,
        )
        return table.rename_columns(list(positions))

    def _count_records(self, content: bytes) -> int:
        """Return the number of lines; with `multiline`, of line ends outside of quoted values."""
        quote = self.layout.source.quote
        if not self.layout.source.multiline or quote is None:
            return count_lines(content)
        letters = np.frombuffer(content, dtype=np.uint8)
        is_outside = np.bitwise_xor.accumulate(letters == ord(quote)) == 0
        return int(np.count_nonzero((letters == ord("\n")) & is_outside))

    def _records(self, content: bytes, first_line: int) -> Iterator[_Record]:
        """Yield the lines that are not empty, with what is wrong with each."""
        if self.layout.source.multiline:
            yield from self._multiline_records(content, first_line)
            return
        for number, line in enumerate(content.splitlines(), first_line):
            if line:
                n_fields, _ = self._scan(line, 0)
                yield _Record(number, line, self._problem(n_fields))

    def _multiline_records(self, content: bytes, first_line: int) -> Iterator[_Record]:
        start = 0
        line = first_line
        while start < len(content):
            n_fields, end = self._scan(content, start)
            if n_fields is None:
                raise Unreadable(f"has a quote in the record of line {line} that is never closed")
            record = content[start:end]
            if record:
                yield _Record(line, record, self._problem(n_fields))
            next_start = end + (2 if content[end : end + 2] == b"\r\n" else 1)
            line += count_lines(content[start:next_start])
            start = next_start

    def _problem(self, n_fields: int | None) -> str:
        if n_fields is None:
            return "it has a quote that is not closed in the line"
        if n_fields != len(self.header):
            return f"it has {n_fields} fields, not {len(self.header)}"
        return ""

    def _scan(self, content: bytes, start: int) -> tuple[int | None, int]:
        """Return the number of fields of the record at `start`, None if a quote stays open, and its end."""
        delimiter = self.layout.source.delimiter.encode()
        n_fields = 0
        position = start
        while True:
            match = self._field.match(content, position)
            n_fields += 1
            if match is None:
                return None, len(content)
            position = match.end()
            if content[position : position + 1] != delimiter:
                is_end = content[position : position + 1] in {b"", b"\n", b"\r"}
                return (n_fields if is_end else None), position
            position += 1

    @cached_property
    def _field(self) -> re.Pattern[bytes]:
        """Pattern of a field up to its delimiter; a quote opens a value only at its start."""
        source = self.layout.source
        delimiter = re.escape(source.delimiter.encode())
        escape = re.escape(source.escape.encode()) if source.escape else b""
        escaped = escape + b"[^\r\n]|" if escape else b""
        tail = b"(?:" + escaped + b"[^" + delimiter + escape + b"\r\n])*"
        if source.quote is None:
            return re.compile(tail)
        quote = re.escape(source.quote.encode())
        inside = b"(?:" + quote + quote + b"|" + escaped + b"[^" + quote + escape + b"])*"
        return re.compile(
            b"(?:" + quote + inside + quote + tail + b"|(?!" + quote + b")" + tail + b")", re.DOTALL
        )


def _is_ordinary(values: pa.ChunkedArray) -> bool:
    """Return whether Arrow read the values of a column as the rule for text does."""
    if pa.types.is_floating(values.type):
        return bool(pc.all(pc.is_finite(values)).as_py() is not False)
    if pa.types.is_timestamp(values.type):
        limits = pc.min_max(values.cast(pa.int64()))
        minimum = limits["min"].as_py()
        return minimum is None or (minimum >= MIN_MOMENT and limits["max"].as_py() <= MAX_MOMENT)
    return True
