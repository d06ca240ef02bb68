"""Tables of typed rows, with the raw values that do not fit and the lines that cannot be parsed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from include.data.lake.dtypes import TYPES
from include.data.reading.columns import PLAIN, TypedColumn, read_array, read_values
from include.data.reading.raw import decode_raw, encode_raw, escape
from include.declarations.base import INTERNAL_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from include.data.reading.spelling import Spelling
    from include.declarations import Column

# JSON of the raw values of a row that do not fit, by column; null for almost all rows.
MISFITS = f"{INTERNAL_PREFIX}misfits"
# JSON of a line that cannot be parsed as a row; its row has no other value.
MALFORMED = f"{INTERNAL_PREFIX}malformed"
INTERNAL_COLUMNS = (MISFITS, MALFORMED)


@dataclass(frozen=True, slots=True)
class MalformedLine:
    """
    A line that cannot be parsed as a row.

    Attributes
    ----------
    line : int or None
        Number of the line in its file, from 1.
    text : str
        The line.
    reason : str
        What is wrong, as the rest of a sentence about the line.
    """

    line: int | None
    text: str
    reason: str

    def to_json(self) -> str:
        """Return the line as JSON."""
        return json.dumps({"line": self.line, "text": self.text, "reason": self.reason})

    def describe(self) -> str:
        """Return the line for people."""
        prefix = "" if self.line is None else f"line {self.line}: "
        return escape(f"{prefix}{self.reason}: {self.text}")

    @classmethod
    def from_json(cls, text: str) -> MalformedLine:
        """Return the line of `to_json`."""
        return cls(**json.loads(text))


def read_driver_rows(
    rows: Sequence[Sequence[Any]], columns: Sequence[Column], spelling: Spelling = PLAIN
) -> pa.Table:
    """
    Read the rows of a database's driver.

    Parameters
    ----------
    rows
        Rows (n,) of values in the order of `columns`, as the driver returns them: int, Decimal, float, str,
        bool, datetime, date, dict, None and others.
    columns
        Declared columns.
    spelling
        Zone of moments that have none.

    Returns
    -------
    pyarrow.Table
        The columns in their types, and the internal columns.
    """
    by_column = list(zip(*rows, strict=True)) or [()] * len(columns)
    typed = {
        column.name: read_values(values, column.dtype, spelling)
        for column, values in zip(columns, by_column, strict=True)
    }
    return assemble_table(typed, len(rows))


def read_table(
    table: pa.Table,
    columns: Iterable[Column],
    spelling: Spelling = PLAIN,
    names: Mapping[str, str] | None = None,
) -> pa.Table:
    """Read the declared columns of a table of any types; `names` has the name in the table of each."""
    names = names or {}
    typed = {
        column.name: read_array(table[names.get(column.name, column.name)], column.dtype, spelling)
        for column in columns
    }
    return assemble_table(typed, table.num_rows)


def read_frame(frame: pd.DataFrame, columns: Iterable[Column], spelling: Spelling = PLAIN) -> pa.Table:
    """Read those of the declared columns that a frame has, such as that of a user's function."""
    existing = [column for column in columns if column.name in frame.columns]
    typed = {column.name: read_series(frame[column.name], column.dtype, spelling) for column in existing}
    table = assemble_table(typed, len(frame))
    if MALFORMED not in frame.columns:
        return table
    lines = pa.array(frame[MALFORMED], pa.string(), from_pandas=True)
    return table.set_column(table.schema.get_field_index(MALFORMED), MALFORMED, lines)


def read_series(values: pd.Series[Any], dtype: str, spelling: Spelling = PLAIN) -> TypedColumn:
    """Read a column of a frame."""
    if values.dtype == object:
        return read_values(values.tolist(), dtype, spelling)
    try:
        array = pa.Array.from_pandas(values)
    except pa.ArrowException:
        # A type of pandas that Arrow does not have, such as complex or sparse numbers.
        return read_values(values.tolist(), dtype, spelling)
    if isinstance(array.type, pa.BaseExtensionType):
        # Arrow has other values in its place, such as the number of a month.
        return read_values(values.tolist(), dtype, spelling)
    return read_array(array, dtype, spelling)


def assemble_table(columns: Mapping[str, TypedColumn], n_rows: int) -> pa.Table:
    """Return `n_rows` rows of typed columns as a table with the internal columns."""
    misfits: dict[int, dict[str, Any]] = {}
    for name, column in columns.items():
        for row, value in column.misfits.items():
            misfits.setdefault(row, {})[name] = value
    arrays = {name: column.values for name, column in columns.items()}
    arrays[MISFITS] = _sparse({row: encode_raw(values) for row, values in misfits.items()}, n_rows)
    arrays[MALFORMED] = pa.nulls(n_rows, pa.string())
    return pa.table(arrays)


def malformed_table(lines: Sequence[MalformedLine], columns: Iterable[Column]) -> pa.Table:
    """Return lines that cannot be parsed as rows of nulls."""
    arrays = {column.name: pa.nulls(len(lines), TYPES[column.dtype]) for column in columns}
    arrays[MISFITS] = pa.nulls(len(lines), pa.string())
    arrays[MALFORMED] = pa.array([line.to_json() for line in lines], pa.string())
    return pa.table(arrays)


def misfits_by_column(misfits: pd.Series[Any]) -> dict[str, pd.Series[Any]]:
    """
    Return, by column, the raw values that do not fit; the index is that of their rows.

    Parameters
    ----------
    misfits
        The internal column `MISFITS` of a frame.
    """
    rows: dict[str, dict[Any, Any]] = {}
    for number, text in misfits.dropna().items():
        for name, value in decode_raw(text).items():
            rows.setdefault(name, {})[number] = value
    return {name: pd.Series(values, dtype=object) for name, values in rows.items()}


def _sparse(texts: Mapping[int, str], n_rows: int) -> pa.Array:
    """Return an array of text that is null but in a few rows."""
    if not texts:
        return pa.nulls(n_rows, pa.string())
    values: list[str | None] = [None] * n_rows
    for row, text in texts.items():
        values[row] = text
    return pa.array(values, pa.string())
