"""What a declared type is in a frame and in a table, and which values do not fit it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from include.declarations import Column

    Mask = np.ndarray[Any, np.dtype[np.bool_]]

MOMENT = pa.timestamp("us", tz="UTC")
TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": MOMENT,
}
_FITTING: dict[str, set[str]] = {
    "string": {"string", "empty"},
    "integer": {"integer", "integer-na", "empty"},
    "number": {"integer", "integer-na", "floating", "mixed-integer-float", "empty"},
    "boolean": {"boolean", "empty"},
    "timestamp": {"empty"},
}
_ZONE = r"(?:Z|[+-]\d\d:?\d\d)$"
_NULLABLE = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
_PLAIN = {"Int64": "int64", "boolean": "bool"}


def arrow_schema(columns: Iterable[Column]) -> pa.Schema:
    """Return the schema of a file or table with these columns."""
    return pa.schema([pa.field(column.name, TYPES[column.dtype]) for column in columns])


def coerce(values: pd.Series[Any], dtype: str) -> tuple[pd.Series[Any], Mask]:
    """
    Return the values in their declared type, null where they do not fit, and where that is.

    A column of text is parsed. Otherwise nothing is guessed: a number is no text, true is no number,
    a moment without a zone is no timestamp.
    """
    if dtype != "string" and _kind(values) == "string":
        parsed = _parse(values, dtype)
        misfits = (parsed.isna() & values.notna()).to_numpy()
    else:
        parsed, misfits = values, _misfits(values, dtype)
    return _cast(parsed.mask(misfits) if misfits.any() else parsed, dtype), misfits


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Return the rows of a table; integers and booleans stay what they are where some are null."""
    frame: pd.DataFrame = table.to_pandas(types_mapper=_NULLABLE.get)
    plain = {name: _PLAIN[str(dtype)] for name, dtype in frame.dtypes.items() if str(dtype) in _PLAIN}
    return frame.astype({name: dtype for name, dtype in plain.items() if not frame[name].hasnans})


def to_table(
    frame: pd.DataFrame, known: pa.Schema | None, partitioned_by: Sequence[str] = ("day",)
) -> pa.Table:
    """
    Return the rows in few types that do not change from day to day: those of `known`, else the widest.

    Of an empty frame, which says nothing of types, only the columns that it is partitioned by are kept.

    :raises DataError: naming the column whose values have several types, no zone, or not the known type
    """
    if frame.empty:
        return (known or pa.schema([(name, pa.string()) for name in partitioned_by])).empty_table()
    columns = {str(name): _to_array(frame[name], str(name)) for name in frame.columns}
    fields = {field.name: field.type for field in known} if known is not None else {}
    return pa.table({name: _settle(name, array, fields.get(name)) for name, array in columns.items()})


def _kind(values: pd.Series[Any]) -> str:
    return pd.api.types.infer_dtype(values, skipna=True)


def _parse(text: pd.Series[Any], dtype: str) -> pd.Series[Any]:
    if dtype == "boolean":
        return text.str.lower().map({"true": True, "false": False, "1": True, "0": False})
    if dtype == "timestamp":
        zoned = text.where(text.str.contains(_ZONE, regex=True, na=False))
        return pd.to_datetime(zoned, utc=True, errors="coerce", format="ISO8601")
    numbers = pd.to_numeric(text, errors="coerce")
    return numbers.mask(_misfits(numbers, dtype))


def _misfits(values: pd.Series[Any], dtype: str) -> Mask:
    kind = _kind(values)
    if kind in _FITTING[dtype]:
        return np.zeros(len(values), dtype=bool)
    if kind.startswith("datetime64"):
        fits = dtype == "timestamp" and isinstance(values.dtype, pd.DatetimeTZDtype)
        return np.zeros(len(values), dtype=bool) if fits else values.notna().to_numpy()
    if dtype == "integer" and kind == "floating":
        numbers = values.to_numpy(dtype=float, na_value=np.nan)
        return np.asarray(~np.isnan(numbers) & ~(np.isfinite(numbers) & (numbers == np.round(numbers))))
    fitting = values.map(lambda value: _fits(value, dtype), na_action="ignore")
    return ~np.where(values.isna(), True, fitting).astype(bool)


def _fits(value: object, dtype: str) -> bool:
    if dtype == "string":
        return isinstance(value, str)
    if dtype == "boolean":
        return isinstance(value, bool | np.bool_)
    if dtype == "timestamp":
        return isinstance(value, datetime) and value.tzinfo is not None
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        return False
    return dtype == "number" or float(value).is_integer()


def _cast(values: pd.Series[Any], dtype: str) -> pd.Series[Any]:
    if dtype == "string":
        return values if values.dtype == object else values.astype(object)
    if dtype == "number":
        return values.astype("float64") if values.dtype != object else pd.to_numeric(values).astype("float64")
    if dtype == "timestamp":
        zoned = isinstance(values.dtype, pd.DatetimeTZDtype)
        moments = values if zoned else pd.to_datetime(values.astype(object), utc=True)
        return moments.dt.tz_convert("UTC").dt.as_unit("us")
    if dtype == "integer":
        return values.astype("Int64") if values.hasnans else values.astype("int64")
    return values.astype("boolean") if values.hasnans else values.astype("bool")


def _to_array(values: pd.Series[Any], name: str) -> pa.Array:
    try:
        return pa.Array.from_pandas(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(
            f"Column {name} cannot be stored: {error}. Give all of its values one type before publishing."
        ) from error


def _settle(name: str, array: pa.Array | pa.ChunkedArray, known: pa.DataType | None) -> pa.Array:
    wanted = _widest(name, array.type, known)
    if known is None or wanted == known:
        try:
            return array.cast(wanted)
        except pa.ArrowInvalid as error:  # nanoseconds, or a number that is too large
            raise DataError(
                f"Column {name} cannot be stored as {wanted}: {error}. Round its values before publishing."
            ) from error
    if pa.types.is_primitive(wanted) and pa.types.is_primitive(known) and _both_numbers(wanted, known):
        try:
            return array.cast(known)
        except pa.ArrowInvalid:
            pass
    raise DataError(
        f"Column {name} has type {wanted}, but the table has {known}. "
        "Give it the table's type, or publish it under a new name."
    )


def _widest(name: str, found: pa.DataType, known: pa.DataType | None) -> pa.DataType:
    if pa.types.is_null(found):
        return known or pa.string()
    if pa.types.is_dictionary(found):
        return _widest(name, found.value_type, known)
    if pa.types.is_integer(found):
        return pa.int64()
    if pa.types.is_floating(found):
        return pa.float64()
    if pa.types.is_timestamp(found):
        if found.tz is None:
            raise DataError(f"Column {name} holds moments without a time zone. Convert them to UTC first.")
        return MOMENT
    return pa.string() if found in {pa.large_string(), pa.string_view()} else found


def _both_numbers(one: pa.DataType, other: pa.DataType) -> bool:
    return all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in (one, other))
