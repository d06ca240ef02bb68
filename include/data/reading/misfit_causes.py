"""Causes of misfits: why a raw value does not fit its declared type, and the remedy where it is known."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import TYPE_CHECKING, Any

from include.data.reading.raw import SINCE_EPOCH, Opaque
from include.data.reading.spelling import BLANK, MAX_INTEGER, MIN_INTEGER, Misfit, Spelling, parse_text

if TYPE_CHECKING:
    from collections.abc import Callable

# No cause quotes a value: the causes of a personal column are shown, too.
TRUTH = "true or false; declare the column as boolean"
NUMBER = "a number; declare the column as integer or number, or convert it in the source"
FRACTION = "a number with a fraction; declare the column as number"
INTEGER_RANGE = "out of range, -2^63 to 2^63-1; declare a number, or a string if it is an identifier"
NUMBER_RANGE = "a number that is infinite or too large for 64 bits; correct it in the source"
NULL_MARKER = "a text that often stands for null; declare it in `nulls` of the source"
MARKS = "a number with other marks; declare `decimal` and `thousands` of the source as it writes them"
LETTERS = "a number with digits or blanks that are not those of ASCII; write it with them in the source"
TEXT = "a text that is no number; correct it in the source, or declare the column as string"
NO_ZONE = (
    "a time without a zone, or one that the clocks of the zone show two times or never; declare "
    "`time_zone` of the source, or have it write the zone"
)
NO_DAY = "a day or time that does not exist, or is not between the years 1 and 9999; correct it in the source"
TIME_FORMAT = (
    "not in ISO 8601 or the declared `time_format`, or a local time that the clocks of the zone show two "
    "times or never; declare `time_format` of the source as it writes times, or have it write the zone"
)
NO_MOMENT = "a text that is no time; correct it in the source"
SECONDS = "a number, not a time; convert it in the source, such as seconds since 1970"
NO_TRUTH = "not true, false, 1 or 0; convert it in the source, or declare the column as string or number"
MOMENT = "a time; declare the column as timestamp, or convert it to text in the source"
CHARACTER = "a text with U+0000 or half a surrogate pair; remove it in the source"
OTHER = "a list, an object, bytes or another kind of value; convert it in the source"

_NULL_MARKERS = frozenset(
    {"na", "n/a", "#n/a", "nan", "null", "nil", "none", "missing", "unknown", "-", "--", ".", "?", "\\n"}
)
_ISO = re.compile(
    r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}(?:[T ][0-9:]{2,8}(?:\.[0-9]+)?)?( ?(?:Z|[+-][0-9]{2}:?[0-9]{0,2}))?"
)
_DIGITS_WITH_MARKS = re.compile(r"[+-]?[0-9]+(?:[.,' \u00a0\u202f][0-9]+)+")
_DIGITS_AND_SEPARATORS = re.compile(r".*[0-9]{1,4}[./ -][0-9A-Za-z]{1,9}[./ ,-]+[0-9]{2,4}.*")
_ZONE = Spelling(time_zone="UTC")


def misfit_cause(value: Any, dtype: str) -> str:
    """
    Return why a raw value is not of a declared type, and the remedy: the rest of a sentence "it is …".

    Parameters
    ----------
    value
        Raw value that the reader refused for this type.
    dtype
        Type of the column.
    """
    if isinstance(value, str):
        return _TEXT_CAUSES[dtype](value.strip(BLANK))
    if isinstance(value, bool):
        return TRUTH
    if isinstance(value, int | float | Decimal):
        return _number_cause(value, dtype)
    if isinstance(value, date):
        return _moment_cause(value, dtype)
    if isinstance(value, Opaque) and value.text.endswith(SINCE_EPOCH):
        return NO_DAY if dtype == "timestamp" else MOMENT
    return OTHER


def _number_cause(value: float | Decimal, dtype: str) -> str:
    if dtype in {"string", "timestamp", "boolean"}:
        return {"string": NUMBER, "timestamp": SECONDS, "boolean": NO_TRUTH}[dtype]
    is_finite = value.is_finite() if isinstance(value, Decimal) else isinstance(value, int) or isfinite(value)
    if dtype == "number" or not is_finite:
        return NUMBER_RANGE
    return FRACTION if MIN_INTEGER <= value <= MAX_INTEGER else INTEGER_RANGE


def _moment_cause(value: date, dtype: str) -> str:
    if dtype != "timestamp":
        return MOMENT
    has_zone = isinstance(value, datetime) and value.tzinfo is not None
    return NO_DAY if has_zone else NO_ZONE


def _integer_text_cause(text: str) -> str:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return _number_text_cause(text)
    if "_" in text:
        return TEXT
    return _number_cause(number, "integer") if text.isascii() else LETTERS


def _number_text_cause(text: str) -> str:
    if text.lower() in _NULL_MARKERS:
        return NULL_MARKER
    if text.lower() in {"true", "false"}:
        return TRUTH
    if _DIGITS_WITH_MARKS.fullmatch(text):
        return MARKS
    try:
        Decimal(text)
    except InvalidOperation:
        return TEXT
    # The reader takes all other numbers, Python also those with underscores and foreign digits.
    if "_" in text:
        return TEXT
    return NUMBER_RANGE if text.isascii() else LETTERS


def _moment_text_cause(text: str) -> str:
    if text.lower() in _NULL_MARKERS:
        return NULL_MARKER
    match = _ISO.fullmatch(text)
    if match is None:
        if text.isdigit():
            return SECONDS
        return TIME_FORMAT if _DIGITS_AND_SEPARATORS.fullmatch(text) else NO_MOMENT
    if match[1]:
        return NO_DAY
    try:
        parse_text(text, "timestamp", _ZONE)
    except Misfit:
        return NO_DAY
    return NO_ZONE


def _boolean_text_cause(text: str) -> str:
    return NULL_MARKER if text.lower() in _NULL_MARKERS else NO_TRUTH


_TEXT_CAUSES: dict[str, Callable[[str], str]] = {
    "string": lambda _: CHARACTER,
    "integer": _integer_text_cause,
    "number": _number_text_cause,
    "boolean": _boolean_text_cause,
    "timestamp": _moment_text_cause,
}
