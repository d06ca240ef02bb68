"""Values of a column of a request: checked against its type; a wrong one is named by column and row."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
from pydantic import AfterValidator, FailFast, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from include.feature_values import base_kind
from include.inference.requests.request_body import BadRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.feature_values import ColumnType

MAX_SHOWN_CHARACTERS = 60
MAX_FLOAT32 = float(np.finfo(np.float32).max)
# Largest magnitude below which each integer has a float of its own.
MAX_EXACT_FLOAT = 2**53
INTEGERS = frozenset({"integer", "long"})
# Times that need no parsing by pandas: of a year that nanoseconds since 1970 reach, with its offset or none.
_USUAL_TIME = re.compile(
    r"(?:1[7-9]|2[01])\d\d-\d\d-\d\d"
    r"(?:[T ](?:[01]\d|2[0-3]):\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)?)?",
    re.ASCII,
)


def check_column(name: str, values: Sequence[Any], kind: ColumnType) -> list[Any]:
    """
    Return the values of a column; a float such as 17.0 becomes the integer where integers are required.

    Raises
    ------
    BadRequest
        If a value is not of type `kind`; the message names the first such value and its row.
    """
    checked = list(values)
    try:
        _VALIDATORS[kind].validate_python(checked)
    except ValidationError as error:
        if base_kind(kind) in INTEGERS and any(type(value) is float for value in checked):
            return _check_integers(name, checked, kind)
        raise _refusal(name, checked, kind, error) from error
    return checked


def _check_integers(name: str, values: list[Any], kind: ColumnType) -> list[Any]:
    """Return the values of a column of integers, some of which were sent as floats."""
    converted = [_whole_number(value) if type(value) is float else value for value in values]
    try:
        _VALIDATORS[kind].validate_python(converted)
    except ValidationError as error:
        raise _refusal(name, converted, kind, error) from error
    return converted


def _whole_number(value: float) -> int | float:
    """Return the integer that a float is; the float if it is none, or stands for several integers."""
    return int(value) if value.is_integer() and abs(value) <= MAX_EXACT_FLOAT else value


def _refusal(name: str, values: list[Any], kind: ColumnType, error: ValidationError) -> BadRequest:
    """Return the refusal of the first value that pydantic rejected."""
    details = error.errors(include_url=False, include_context=False, include_input=False)[0]
    row = int(details["loc"][0])
    problem = _describe_problem(details["type"], values[row], kind)
    return BadRequest(f"Column {name}, row {row}: {_abbreviate(values[row])} is {problem}.")


def _describe_problem(error_type: str, value: Any, kind: ColumnType) -> str:
    """Return in words why pydantic rejected a value."""
    kind = base_kind(kind)
    if value is None:
        return f"missing, and a {kind} is required"
    if error_type in {"greater_than_equal", "less_than_equal"}:
        return f"too large for type {kind}"
    if error_type == "float_type" and type(value) is int:
        return "too large for a number"
    return _PROBLEMS.get(error_type, f"not of type {kind}")


def _abbreviate(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}…"


def _check_time(value: str) -> str:
    """Return a time that `estimator_array` can convert."""
    if _USUAL_TIME.fullmatch(value):
        try:
            datetime.fromisoformat(value)
        except ValueError as error:
            raise PydanticCustomError("time_format", "not a time") from error
        return value
    # Other forms of ISO 8601, but not "now" or "today".
    if not value[:1].isdigit():
        raise PydanticCustomError("time_format", "not a time")
    try:
        pd.to_datetime(pd.Series([value], dtype=object), utc=True, format="ISO8601")
    except pd.errors.OutOfBoundsDatetime as error:
        raise PydanticCustomError("time_range", "out of range") from error
    except (ValueError, OverflowError) as error:
        raise PydanticCustomError("time_format", "not a time") from error
    return value


_Boolean = Annotated[bool, Field(strict=True)]
_Int32 = Annotated[int, Field(strict=True, ge=-(2**31), le=2**31 - 1)]
_Int64 = Annotated[int, Field(strict=True, ge=-(2**63), le=2**63 - 1)]
_Float32 = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-MAX_FLOAT32, le=MAX_FLOAT32)]
_Float64 = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_String = Annotated[str, Field(strict=True, pattern=r"^[^\x00]*$")]
_Time = Annotated[str, Field(strict=True), AfterValidator(_check_time)]
_VALIDATORS: dict[ColumnType, TypeAdapter[Any]] = {
    "boolean": TypeAdapter(Annotated[list[_Boolean], FailFast()]),
    "integer": TypeAdapter(Annotated[list[_Int32], FailFast()]),
    "long": TypeAdapter(Annotated[list[_Int64], FailFast()]),
    "float": TypeAdapter(Annotated[list[_Float32], FailFast()]),
    "double": TypeAdapter(Annotated[list[_Float64], FailFast()]),
    "string": TypeAdapter(Annotated[list[_String], FailFast()]),
    "datetime": TypeAdapter(Annotated[list[_Time], FailFast()]),
    "boolean?": TypeAdapter(Annotated[list[_Boolean | None], FailFast()]),
    "integer?": TypeAdapter(Annotated[list[_Int32 | None], FailFast()]),
    "long?": TypeAdapter(Annotated[list[_Int64 | None], FailFast()]),
    "float?": TypeAdapter(Annotated[list[_Float32 | None], FailFast()]),
    "double?": TypeAdapter(Annotated[list[_Float64 | None], FailFast()]),
    "string?": TypeAdapter(Annotated[list[_String | None], FailFast()]),
    "datetime?": TypeAdapter(Annotated[list[_Time | None], FailFast()]),
}
# The texts of pydantic's errors, so that the messages do not change with its version.
_PROBLEMS = {
    "finite_number": "not a finite number",
    "string_pattern_mismatch": "text with a NUL character",
    "string_unicode": "not valid Unicode",
    "time_format": "not a time such as 2013-07-01T12:00:00Z",
    "time_range": "a time outside of the years 1678 to 2261",
}
