"""Declared types in frames and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd
import pyarrow as pa

from include.declarations.base import DAY_COLUMN
from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from include.declarations import Column


class RowBatches(Protocol):
    """Rows that are read one batch after the other, as often as needed."""

    @property
    def schema(self) -> pa.Schema:
        """Columns and their types."""

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows, or some columns of them."""


TIMESTAMP = pa.timestamp("us", tz="UTC")
TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": TIMESTAMP,
}
_NULLABLE = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}


def arrow_schema(columns: Iterable[Column]) -> pa.Schema:
    """Return the schema of a file or table with these columns."""
    return pa.schema([pa.field(column.name, TYPES[column.dtype]) for column in columns])


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Return a table as a frame; integers and booleans with nulls get nullable dtypes."""
    nullable = [
        field.name for field in table.schema if field.type in _NULLABLE and table[field.name].null_count
    ]
    frame: pd.DataFrame = table.drop_columns(nullable).to_pandas(ignore_metadata=True)
    if not nullable:
        return frame
    others = table.select(nullable).to_pandas(types_mapper=_NULLABLE.get, ignore_metadata=True)
    combined: pd.DataFrame = pd.concat([frame, others], axis=1)[table.column_names]
    return combined


def to_table(
    frame: pd.DataFrame, schema: pa.Schema | None, partitioned_by: Sequence[str] = (DAY_COLUMN,)
) -> pa.Table:
    """
    Convert a frame to types that do not change from day to day.

    Parameters
    ----------
    frame
        Rows to publish. An empty frame has no reliable types: only `partitioned_by` is kept of it.
    schema
        Schema of the table; None for a new table, whose columns get the widest type of their kind.
    partitioned_by
        Partition columns of a new table.

    Raises
    ------
    DataError
        If a column has values of several types, moments without a zone, or another type than the table.
    """
    if frame.empty:
        empty = schema or pa.schema([(name, pa.string()) for name in partitioned_by])
        return empty.empty_table()
    columns = {str(name): _to_array(frame[name], str(name)) for name in frame.columns}
    types = {field.name: field.type for field in schema} if schema is not None else {}
    return pa.table({name: _stable_array(name, array, types.get(name)) for name, array in columns.items()})


def read_batches(
    rows: pd.DataFrame | RowBatches, schema: pa.Schema | None, partitioned_by: Sequence[str]
) -> pa.RecordBatchReader:
    """
    Return a reader of rows in the types in which they are stored.

    The parameters and errors are those of `to_table`; the rows of a staged table are read one batch after the
    other, and their types are reliable without rows, too.
    """
    if isinstance(rows, pd.DataFrame):
        labelled = rows.astype(dict.fromkeys(partitioned_by, object))
        return to_table(labelled, schema, partitioned_by).to_reader()
    return cast_batches(rows.batches(), stable_schema(rows.schema, schema))


def stable_schema(schema: pa.Schema, table_schema: pa.Schema | None) -> pa.Schema:
    """
    Return the types in which rows of `schema` are stored, which do not change from day to day.

    Parameters
    ----------
    schema
        Schema of the rows.
    table_schema
        Schema of the table; None for a new table, whose columns get the widest type of their kind.

    Raises
    ------
    DataError
        If a column has moments without a zone, or another type than the table.
    """
    types = {field.name: field.type for field in table_schema} if table_schema is not None else {}
    return pa.schema(
        [(field.name, _stable_type(field.name, field.type, types.get(field.name))) for field in schema]
    )


def cast_batches(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatchReader:
    """Return a reader of the rows in the types of `schema`; DataError if a value does not fit."""
    return pa.RecordBatchReader.from_batches(schema, (_cast_batch(batch, schema) for batch in batches))


def _cast_batch(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    arrays = [_cast_array(field.name, batch.column(field.name), field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _cast_array(name: str, array: pa.Array | pa.ChunkedArray, kind: pa.DataType) -> Any:
    try:
        return array.cast(kind)
    except pa.ArrowInvalid as error:
        # Nanoseconds, or a number that is too large.
        raise DataError(
            f"Column {name} cannot be stored as {kind}: {error}. Round its values before publishing."
        ) from error


def _to_array(values: pd.Series[Any], name: str) -> pa.Array:
    try:
        return pa.Array.from_pandas(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(
            f"Column {name} cannot be stored: {error}. Give all of its values one type before publishing."
        ) from error


def _stable_array(
    name: str, array: pa.Array | pa.ChunkedArray, table_type: pa.DataType | None
) -> pa.Array | pa.ChunkedArray:
    try:
        return array.cast(_stable_type(name, array.type, table_type))
    except pa.ArrowInvalid as error:
        if table_type is not None and _widest_type(name, array.type, table_type) != table_type:
            raise _other_type(name, array.type, table_type) from error
        return _cast_array(name, array, _widest_type(name, array.type, table_type))


def _stable_type(name: str, array_type: pa.DataType, table_type: pa.DataType | None) -> pa.DataType:
    widest = _widest_type(name, array_type, table_type)
    if table_type is None or widest == table_type:
        return widest
    if _is_number(widest) and _is_number(table_type):
        return table_type
    raise _other_type(name, widest, table_type)


def _other_type(name: str, array_type: pa.DataType, table_type: pa.DataType) -> DataError:
    return DataError(
        f"Column {name} has type {array_type}, but the table has {table_type}. "
        "Give it the table's type, or publish it under a new name."
    )


def _widest_type(name: str, array_type: pa.DataType, table_type: pa.DataType | None) -> pa.DataType:
    if pa.types.is_null(array_type):
        return table_type or pa.string()
    if pa.types.is_dictionary(array_type):
        return _widest_type(name, array_type.value_type, table_type)
    if pa.types.is_integer(array_type):
        return pa.int64()
    if pa.types.is_floating(array_type):
        return pa.float64()
    if pa.types.is_timestamp(array_type):
        if array_type.tz is None:
            raise DataError(f"Column {name} holds moments without a time zone. Convert them to UTC first.")
        return TIMESTAMP
    return pa.string() if array_type in {pa.large_string(), pa.string_view()} else array_type


def _is_number(arrow_type: pa.DataType) -> bool:
    return bool(pa.types.is_integer(arrow_type) or pa.types.is_floating(arrow_type))
