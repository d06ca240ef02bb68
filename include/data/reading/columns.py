"""Read a column of raw values into its declared Arrow type: vectorised where possible, else by the rule."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.data.lake.dtypes import TYPES
from include.data.reading.raw import SINCE_EPOCH, Opaque
from include.data.reading.spelling import BOOLEANS, Misfit, Spelling, parse_text
from include.data.reading.values import convert, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Mask: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]

# Microseconds since 1970 of the first and the last moment of the years 1 to 9999.
MIN_MOMENT = -62_135_596_800_000_000
MAX_MOMENT = 253_402_300_799_999_999
MAX_SAFE_FLOAT = 2.0**63
PLAIN = Spelling()
# Moments for which Arrow and Python agree on each zone: Arrow knows no clock change after 2037.
MIN_LOCAL = 0
MAX_LOCAL = 2_114_380_800_000_000
# Types of Python values that Arrow takes as they are.
_EXACT_KINDS: tuple[tuple[set[type], pa.DataType], ...] = (
    ({int}, pa.int64()),
    ({float}, pa.float64()),
    ({bool}, pa.bool_()),
    ({datetime}, TYPES["timestamp"]),
)
_INTEGER_TEXT = r"^-?[0-9]{1,18}$"
_NUMBER_TEXT = r"^-?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?$"
_MOMENT_TEXT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
_ZONED_TEXT = _MOMENT_TEXT + r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)$"


@dataclass(frozen=True, slots=True)
class TypedColumn:
    """
    A column in its declared type.

    Attributes
    ----------
    values : pyarrow.Array
        Values (n,), null where a value does not fit.
    misfits : mapping of int to object
        By row: the raw value that does not fit.
    """

    values: pa.Array = field(repr=False)
    misfits: Mapping[int, Any] = field(default_factory=dict)


def read_text(text: pa.Array, dtype: str, spelling: Spelling = PLAIN) -> TypedColumn:
    """Read a column of text (n,), such as that of a CSV file."""
    text = _without_empty(text.cast(pa.string()))
    if dtype == "string":
        has_nul = pc.fill_null(pc.match_substring(text, "\0"), fill_value=False)
        decided = ~_mask(has_nul)
        return _complete(_where(decided, text), decided, text, dtype, spelling)
    decided, values = _DECIDE_TEXT[dtype](text, spelling)
    return _complete(values, decided, text, dtype, spelling)


def read_values(values: Sequence[Any], dtype: str, spelling: Spelling = PLAIN) -> TypedColumn:
    """Read a column of Python values (n,), such as those of JSON, a driver or a frame of objects."""
    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {str}:
        try:
            return read_text(pa.array(values, pa.string()), dtype, spelling)
        except (pa.ArrowException, UnicodeEncodeError):
            # A lone surrogate.
            kinds = {object}
    if kinds == {datetime} and any(value is not None and value.tzinfo is None for value in values):
        return _by_rule(values, dtype, spelling)
    for exact_kinds, kind in _EXACT_KINDS:
        if kinds <= exact_kinds:
            try:
                return read_array(pa.array(values, kind), dtype, spelling)
            except (pa.ArrowException, OverflowError):
                # An integer of more than 64 bits, or a moment outside the years 1 to 9999.
                break
    return _by_rule(values, dtype, spelling)


def read_array(array: pa.Array | pa.ChunkedArray, dtype: str, spelling: Spelling = PLAIN) -> TypedColumn:
    """Read a column of any Arrow type (n,), such as that of a Parquet file or of a frame."""
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    kind = array.type
    if pa.types.is_dictionary(kind):
        return read_array(array.dictionary_decode(), dtype, spelling)
    if pa.types.is_null(kind):
        return TypedColumn(pa.nulls(len(array), TYPES[dtype]))
    if isinstance(kind, pa.BaseExtensionType) and pa.types.is_string(kind.storage_type):
        return read_text(array.storage, dtype, spelling)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view():
        return read_text(array, dtype, spelling)
    if pa.types.is_decimal(kind) and dtype in {"integer", "number"}:
        # Arrow's own cast of decimals to doubles does not round to the nearest.
        parsed = read_text(array.cast(pa.string()), dtype)
        return TypedColumn(parsed.values, {row: array[row].as_py() for row in parsed.misfits})
    decide = _DECIDE_ARRAY.get(dtype)
    if decide is None:
        decided = ~_mask(array.is_valid())
        return _complete(pa.nulls(len(array), TYPES[dtype]), decided, array, dtype, spelling)
    decided, values = decide(array, spelling)
    return _complete(values, decided, array, dtype, spelling)


def _complete(values: pa.Array, decided: Mask, raw: pa.Array, dtype: str, spelling: Spelling) -> TypedColumn:
    """Add the values of the rows that the vectorised reading has not decided."""
    open_rows = ~decided & _mask(raw.is_valid())
    if not open_rows.any():
        return TypedColumn(values)
    rows = np.flatnonzero(open_rows)
    rest = _by_rule(_to_python(raw.take(pa.array(rows))), dtype, spelling)
    completed = pc.replace_with_mask(values, pa.array(open_rows), rest.values)
    return TypedColumn(completed, {int(rows[row]): value for row, value in rest.misfits.items()})


def _by_rule(values: Sequence[Any], dtype: str, spelling: Spelling) -> TypedColumn:
    typed: list[Any] = []
    misfits: dict[int, Any] = {}
    parsed: dict[str, Any] = {}
    for row, value in enumerate(values):
        try:
            if isinstance(value, str):
                # Texts recur: each is parsed once.
                if value not in parsed:
                    parsed[value] = parse_text(value, dtype, spelling)
                typed.append(parsed[value])
            else:
                typed.append(convert(value, dtype, spelling))
        except Misfit:
            misfits[row] = plain(value)
            typed.append(None)
    return TypedColumn(pa.array(typed, TYPES[dtype]), misfits)


def _to_python(array: pa.Array) -> list[Any]:
    """Return the values as Python objects; a moment that Python does not have is `Opaque`."""
    if pa.types.is_timestamp(array.type):
        numbers = array.view(pa.int64()).to_pylist()
        moments = _floor_to_microseconds(array)
        inside = _where(_is_inside(moments), moments).to_pylist()
        return [
            Opaque(f"{number} {array.type.unit} {SINCE_EPOCH}")
            if value is None and number is not None
            else value
            for value, number in zip(inside, numbers, strict=True)
        ]
    if pa.types.is_temporal(array.type) and not pa.types.is_date(array.type):
        return [None if text is None else Opaque(text) for text in array.cast(pa.string()).to_pylist()]
    values: list[Any] = array.to_pylist()
    if isinstance(array.type, pa.BaseExtensionType):
        # What a number stands for is not a number, such as a month; a truth is one.
        name = array.type.extension_name
        return [
            value if value is None or isinstance(value, bool) else Opaque(f"{value} ({name})")
            for value in values
        ]
    return values


def _decide_integer_text(text: pa.Array, spelling: Spelling) -> tuple[Mask, pa.Array]:
    decided = _matches(text, _INTEGER_TEXT) if spelling.has_plain_numbers else _nothing(text)
    return decided, _where(decided, text).cast(pa.int64())


def _decide_number_text(text: pa.Array, spelling: Spelling) -> tuple[Mask, pa.Array]:
    decided = _matches(text, _NUMBER_TEXT) if spelling.has_plain_numbers else _nothing(text)
    return decided, _where(decided, text).cast(pa.float64())


def _decide_boolean_text(text: pa.Array, _: Spelling) -> tuple[Mask, pa.Array]:
    lower = pc.utf8_lower(text)
    decided = _mask(pc.is_in(lower, pa.array(list(BOOLEANS))))
    return decided, _where(decided, pc.is_in(lower, pa.array(["true", "1"])))


def _decide_moment_text(text: pa.Array, spelling: Spelling) -> tuple[Mask, pa.Array]:
    decided = _nothing(text) if spelling.time_format else _matches(text, _ZONED_TEXT)
    try:
        moments = _where(decided, text).cast(TYPES["timestamp"])
    except pa.ArrowInvalid:
        # A day or an hour that does not exist.
        return _nothing(text), pa.nulls(len(text), TYPES["timestamp"])
    decided &= _is_inside(moments)
    return decided, _where(decided, moments)


def _decide_integer_array(array: pa.Array, _: Spelling) -> tuple[Mask, pa.Array]:
    if pa.types.is_uint64(array.type):
        decided = _mask(pc.less_equal(array, pa.scalar(2**63 - 1, pa.uint64())))
    elif pa.types.is_integer(array.type):
        decided = np.ones(len(array), dtype=bool)
    elif pa.types.is_floating(array.type):
        array = _nan_as_null(array.cast(pa.float64()))
        is_whole = pc.and_(pc.equal(pc.floor(array), array), pc.is_finite(array))
        is_small = pc.and_(pc.greater_equal(array, -MAX_SAFE_FLOAT), pc.less(array, MAX_SAFE_FLOAT))
        decided = _mask(pc.and_(is_whole, is_small)) | _mask(array.is_null())
    else:
        decided = _nothing(array)
        return decided, pa.nulls(len(array), pa.int64())
    return decided, _where(decided, array).cast(pa.int64())


def _decide_number_array(array: pa.Array, _: Spelling) -> tuple[Mask, pa.Array]:
    if pa.types.is_integer(array.type):
        # Rounded to the nearest double, as a text is.
        return np.ones(len(array), dtype=bool), array.cast(pa.float64(), safe=False)
    if pa.types.is_floating(array.type):
        numbers = _nan_as_null(array.cast(pa.float64()))
        decided = _mask(pc.fill_null(pc.is_finite(numbers), fill_value=True))
        return decided, numbers if decided.all() else _where(decided, numbers)
    return _nothing(array), pa.nulls(len(array), pa.float64())


def _decide_boolean_array(array: pa.Array, _: Spelling) -> tuple[Mask, pa.Array]:
    if pa.types.is_boolean(array.type):
        return np.ones(len(array), dtype=bool), array
    if pa.types.is_integer(array.type):
        decided = _mask(pc.is_in(array, pa.array([0, 1], array.type)))
        return decided, _where(decided, pc.equal(array, pa.scalar(1, array.type)))
    return _nothing(array), pa.nulls(len(array), pa.bool_())


def _decide_moment_array(array: pa.Array, spelling: Spelling) -> tuple[Mask, pa.Array]:
    if not pa.types.is_timestamp(array.type):
        return _nothing(array), pa.nulls(len(array), TYPES["timestamp"])
    moments = _floor_to_microseconds(array)
    decided = _is_inside(moments)
    if array.type.tz is None:
        if spelling.time_zone is None:
            return _nothing(array), pa.nulls(len(array), TYPES["timestamp"])
        decided &= _is_inside(moments, MIN_LOCAL, MAX_LOCAL)
        try:
            moments = pc.assume_timezone(_where(decided, moments), spelling.time_zone)
        except pa.ArrowInvalid:
            # An hour of a clock change.
            return _nothing(array), pa.nulls(len(array), TYPES["timestamp"])
    return decided, _where(decided, moments).cast(TYPES["timestamp"])


def _floor_to_microseconds(array: pa.Array) -> pa.Array:
    """Return moments in microseconds; finer digits are cut off, and what does not fit 64 bits is extreme."""
    kind = pa.timestamp("us", array.type.tz)
    units = {"s": 1_000_000, "ms": 1_000, "us": 1}
    if array.type.unit == "us":
        return array
    is_null = _mask(array.is_null())
    numbers = pc.fill_null(array.view(pa.int64()), 0).to_numpy(zero_copy_only=False)
    if array.type.unit == "ns":
        return pa.array(np.floor_divide(numbers, 1000), pa.int64(), mask=is_null).cast(kind)
    factor = units[array.type.unit]
    limit = (2**63 - 1) // factor
    return pa.array(np.clip(numbers, -limit, limit) * factor, pa.int64(), mask=is_null).cast(kind)


def _is_inside(moments: pa.Array, minimum: int = MIN_MOMENT, maximum: int = MAX_MOMENT) -> Mask:
    """Return which moments are null or between two moments, by default of the years 1 to 9999."""
    numbers = moments.view(pa.int64())
    is_inside = pc.and_(pc.greater_equal(numbers, minimum), pc.less_equal(numbers, maximum))
    return _mask(pc.fill_null(is_inside, fill_value=True))


def _nan_as_null(numbers: pa.Array) -> pa.Array:
    is_nan = pc.is_nan(numbers)
    if not pc.any(is_nan).as_py():
        return numbers
    return pc.if_else(is_nan, pa.scalar(None, numbers.type), numbers)


def _without_empty(text: pa.Array) -> pa.Array:
    is_empty = pc.equal(text, "")
    return pc.if_else(is_empty, pa.scalar(None, pa.string()), text) if pc.any(is_empty).as_py() else text


def _matches(text: pa.Array, pattern: str) -> Mask:
    return _mask(pc.match_substring_regex(text, pattern))


def _where(decided: Mask, values: pa.Array) -> pa.Array:
    """Return the values with null where `decided` is False."""
    if decided.all():
        return values
    return pc.if_else(pa.array(decided), values, pa.scalar(None, values.type))


def _nothing(array: pa.Array) -> Mask:
    return np.zeros(len(array), dtype=bool)


def _mask(values: pa.Array) -> Mask:
    """Return booleans as a mask, False for null."""
    mask: Mask = pc.fill_null(values, fill_value=False).to_numpy(zero_copy_only=False)
    return mask


_DECIDE_TEXT: dict[str, Callable[[pa.Array, Spelling], tuple[Mask, pa.Array]]] = {
    "integer": _decide_integer_text,
    "number": _decide_number_text,
    "boolean": _decide_boolean_text,
    "timestamp": _decide_moment_text,
}
_DECIDE_ARRAY: dict[str, Callable[[pa.Array, Spelling], tuple[Mask, pa.Array]]] = {
    "integer": _decide_integer_array,
    "number": _decide_number_array,
    "boolean": _decide_boolean_array,
    "timestamp": _decide_moment_array,
}
