"""Rows of landed files, parsed and written in the format and dialect that their dataset declares."""

from __future__ import annotations

import csv
import gzip
import io
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from include.data.lake.dtypes import TYPES
from include.data.sources.formats import Unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from include.data.sources.formats import Layout

# Values by column; those of names that are not declared stay under their name in the file.
Row = dict[str, Any]
# A line of CSV that is no row is kept under this name.
_LINE = "\0line"


def parse_rows(content: bytes | None, path: str, layout: Layout) -> tuple[list[str], list[Row]]:
    """
    Return the names in a file, in order, and its rows with raw values; of no file, those of a new one.

    Raises
    ------
    Unreadable
        If it is no file of its format, or lacks a declared column.
    """
    if content is None:
        return list(layout.names_in_file.values()), []
    try:
        plain = gzip.decompress(content) if path.endswith(".gz") else content
        header, rows = _PARSERS[layout.source.format](plain, layout)
    except (OSError, EOFError, ValueError, csv.Error, pa.ArrowException) as error:
        raise Unreadable(f"cannot be read: {error}") from error
    columns = {in_file: name for name, in_file in layout.names_in_file.items()}
    return header, [_rename(row, columns) for row in rows]


def render_rows(
    header: Sequence[str], rows: Sequence[Row], path: str, layout: Layout, former: bytes | None
) -> bytes:
    """Return the content of a file with these rows; `former` is its content before, None for a new file."""
    named = [_rename(row, layout.names_in_file) for row in rows]
    if layout.source.format == "parquet":
        return _render_parquet(named, layout, former)
    renderer = _render_csv if layout.source.format == "csv" else _render_json_lines
    content = renderer(header, named, layout)
    return gzip.compress(content, mtime=0) if path.endswith(".gz") else content


def _rename(row: Row, names: Mapping[str, str]) -> Row:
    return {names.get(name, name): value for name, value in row.items()}


def _dialect(layout: Layout) -> dict[str, Any]:
    source = layout.source
    return {
        "delimiter": source.delimiter,
        "quotechar": source.quote,
        "escapechar": source.escape,
        "doublequote": source.escape is None,
        "quoting": csv.QUOTE_NONE if source.quote is None else csv.QUOTE_MINIMAL,
    }


def _parse_csv(content: bytes, layout: Layout) -> tuple[list[str], list[Row]]:
    text = content.decode("utf-8-sig")
    lines = [line for line in csv.reader(io.StringIO(text, newline=""), **_dialect(layout)) if line]
    if not lines:
        raise Unreadable("is empty: not even a header")
    header = lines[0]
    layout.undeclared(header)
    rows: list[Row] = []
    for line in lines[1:]:
        rows.append(dict(zip(header, line, strict=True)) if len(line) == len(header) else {_LINE: line})
    return header, rows


def _render_csv(header: Sequence[str], rows: Sequence[Row], layout: Layout) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n", **_dialect(layout))
    writer.writerow(header)
    for row in rows:
        writer.writerow(
            row[_LINE] if _LINE in row else [_as_csv_text(row.get(name), layout) for name in header]
        )
    return stream.getvalue().encode()


def _as_csv_text(value: Any, layout: Layout) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        moment = value.astimezone(layout.spelling.zone) if layout.spelling.zone else value
        time_format = layout.source.time_format
        return moment.strftime(time_format) if time_format else value.isoformat()
    if isinstance(value, float):
        return repr(value).replace(".", layout.source.decimal)
    return str(value)


def _parse_json_lines(content: bytes, _: Layout) -> tuple[list[str], list[Row]]:
    rows = [json.loads(line) for line in content.decode("utf-8-sig").splitlines() if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise Unreadable("has a line that is no JSON object")
    return [], rows


def _render_json_lines(_: Sequence[str], rows: Sequence[Row], __: Layout) -> bytes:
    lines = [json.dumps(row, ensure_ascii=False, default=_as_iso) for row in rows]
    return "".join(f"{line}\n" for line in lines).encode()


def _as_iso(value: Any) -> str:
    return str(value.isoformat())


def _parse_parquet(content: bytes, layout: Layout) -> tuple[list[str], list[Row]]:
    table = pq.read_table(io.BytesIO(content))
    layout.undeclared(table.column_names)
    return table.column_names, table.to_pylist()


def _render_parquet(rows: Sequence[Row], layout: Layout, former: bytes | None) -> bytes:
    if former is None:
        fields = [(layout.names_in_file[column.name], TYPES[column.dtype]) for column in layout.columns]
        schema = pa.schema(fields)
    else:
        schema = pq.read_schema(io.BytesIO(former))
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), stream)
    return stream.getvalue()


_PARSERS = {"csv": _parse_csv, "jsonl": _parse_json_lines, "parquet": _parse_parquet}
