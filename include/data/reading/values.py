"""The rule for values that have a type already, as Python objects of JSON, drivers and frames."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from math import isfinite, isnan
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.data.reading.spelling import (
    MAX_INTEGER,
    MIN_INTEGER,
    Misfit,
    Spelling,
    in_utc,
    parse_text,
    whole_number,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def convert(value: Any, dtype: str, spelling: Spelling) -> Any:
    """
    Return a raw value as a value of a declared type; None for a null, "not a number" and an empty text.

    Values are not converted between kinds, except text, which is parsed: a number is no text, a truth value
    is no number, and 1 and 0 are the only numbers that are truth values.

    Raises
    ------
    Misfit
        If the value does not fit the type.
    """
    value = plain(value)
    if value is None:
        return None
    if isinstance(value, str):
        return parse_text(value, dtype, spelling)
    return _CONVERTERS[dtype](value, spelling)


def plain(value: Any) -> Any:
    """Return a value of NumPy or pandas as one of Python, and None for each kind of null."""
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    elif isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime(warn=False)
    is_nan = value.is_nan() if isinstance(value, Decimal) else isinstance(value, float) and isnan(value)
    return None if is_nan else value


def _to_string(_: Any, __: Spelling) -> str:
    raise Misfit


def _to_integer(value: Any, _: Spelling) -> int:
    if isinstance(value, bool):
        raise Misfit
    if isinstance(value, int):
        if not MIN_INTEGER <= value <= MAX_INTEGER:
            raise Misfit
        return value
    if isinstance(value, float) and isfinite(value):
        return whole_number(Decimal(value))
    if isinstance(value, Decimal) and value.is_finite():
        return whole_number(value)
    raise Misfit


def _to_number(value: Any, _: Spelling) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise Misfit
    try:
        number = float(value)
    except OverflowError:
        raise Misfit from None
    if not isfinite(number):
        raise Misfit
    return number


def _to_boolean(value: Any, _: Spelling) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value in {0, 1}:
        return value == 1
    raise Misfit


def _to_moment(value: Any, spelling: Spelling) -> datetime:
    if isinstance(value, datetime):
        return in_utc(value, spelling.zone)
    if isinstance(value, date):
        # A day begins where its zone says; without a zone it is refused.
        return in_utc(datetime(value.year, value.month, value.day), spelling.zone)
    raise Misfit


_CONVERTERS: dict[str, Callable[[Any, Spelling], Any]] = {
    "string": _to_string,
    "integer": _to_integer,
    "number": _to_number,
    "boolean": _to_boolean,
    "timestamp": _to_moment,
}
