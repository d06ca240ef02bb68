"""The rule for text: which spellings each declared type accepts, and the value of each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from functools import cached_property
from math import isinf
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Callable

MIN_INTEGER = -(2**63)
MAX_INTEGER = 2**63 - 1
BLANK = " \t"
BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NAN = re.compile(r"[+-]?nan", re.IGNORECASE)
_MOMENT = re.compile(
    r"([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})"
    r"(?:[T ]([0-9]{2})(?:(:?)([0-9]{2})(?:\6([0-9]{2})(?:\.([0-9]+))?)?)?)?"
    r" ?(Z|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_SPLIT_FORMS = {("-", ":"), ("", ""), ("-", None), ("", None)}


class Misfit(Exception):
    """A value does not fit its declared type."""


@dataclass(frozen=True)
class Spelling:
    """
    How a source writes numbers and moments; the default is ISO 8601 with a zone, and a decimal point.

    Attributes
    ----------
    time_zone : str
        Zone of moments that name none; without it they are refused.
    time_format : str
        Format of moments in text, as `datetime.strptime` takes it; without it ISO 8601.
    decimal, thousands : str
        Decimal mark of numbers in text, and the mark between groups of three digits.
    """

    time_zone: str | None = None
    time_format: str | None = None
    decimal: str = "."
    thousands: str | None = None

    @property
    def has_plain_numbers(self) -> bool:
        """Whether numbers are written as in English, without groups."""
        return self.decimal == "." and self.thousands is None

    @cached_property
    def zone(self) -> ZoneInfo | None:
        """Zone of moments that name none."""
        return ZoneInfo(self.time_zone) if self.time_zone else None

    @cached_property
    def local_number(self) -> re.Pattern[str]:
        """Pattern of a number with the declared marks: its sign, its whole digits, and the rest."""
        digits = "[0-9]+"
        if self.thousands is not None:
            digits = rf"[0-9]{{1,3}}(?:{re.escape(self.thousands)}[0-9]{{3}})+|[0-9]+"
        return re.compile(rf"([+-]?)({digits}|)((?:{re.escape(self.decimal)}[0-9]*)?)((?:[eE][+-]?[0-9]+)?)")


def parse_text(text: str, dtype: str, spelling: Spelling) -> Any:
    """
    Return the value of a text; None if it is empty.

    Raises
    ------
    Misfit
        If the text is no value of the type.
    """
    return _PARSERS[dtype](text, spelling) if text else None


def in_utc(moment: datetime, zone: ZoneInfo | None) -> datetime:
    """
    Return a moment in UTC; one without a zone is in `zone`.

    Raises
    ------
    Misfit
        If it has no zone, the clock of `zone` shows it not at all or two times, or it is in UTC not between
        the years 1 and 9999.
    """
    if moment.utcoffset() is None:
        if zone is None:
            raise Misfit
        moment = moment.replace(tzinfo=zone)
        if moment.replace(fold=0).utcoffset() != moment.replace(fold=1).utcoffset():
            raise Misfit
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise Misfit from None


def _parse_string(text: str, _: Spelling) -> str:
    if "\0" in text or not _is_unicode(text):
        raise Misfit
    return text


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _plain_number(text: str, spelling: Spelling) -> str | None:
    """Return a number in plain notation, or None for "not a number"."""
    text = text.strip(BLANK)
    if _NAN.fullmatch(text):
        return None
    if not spelling.has_plain_numbers:
        match = spelling.local_number.fullmatch(text)
        if match is None:
            raise Misfit
        sign, digits, fraction, exponent = match.groups()
        digits = digits.replace(spelling.thousands, "") if spelling.thousands else digits
        text = f"{sign}{digits}{fraction.replace(spelling.decimal, '.')}{exponent}"
    if not _NUMBER.fullmatch(text):
        raise Misfit
    return text


def _parse_number(text: str, spelling: Spelling) -> float | None:
    plain = _plain_number(text, spelling)
    if plain is None:
        return None
    number = float(plain)
    if isinf(number):
        raise Misfit
    return number


def _parse_integer(text: str, spelling: Spelling) -> int | None:
    plain = _plain_number(text, spelling)
    if plain is None:
        return None
    try:
        return whole_number(Decimal(plain))
    except InvalidOperation:
        # The exponent has too many digits.
        raise Misfit from None


def whole_number(number: Decimal) -> int:
    """
    Return a number as an integer of 64 bits.

    Raises
    ------
    Misfit
        If it has a fraction, or is out of range.
    """
    # The comparison comes first: 1E+999999999 has too many digits for an int.
    if not MIN_INTEGER <= number <= MAX_INTEGER or number != int(number):
        raise Misfit
    return int(number)


def _parse_boolean(text: str, _: Spelling) -> bool:
    try:
        return BOOLEANS[text.strip(BLANK).lower()]
    except KeyError:
        raise Misfit from None


def _parse_moment(text: str, spelling: Spelling) -> datetime:
    text = text.strip(BLANK)
    try:
        moment = datetime.strptime(text, spelling.time_format) if spelling.time_format else _parse_iso(text)
    except ValueError:
        raise Misfit from None
    return in_utc(moment, spelling.zone)


def _parse_iso(text: str) -> datetime:
    """Return a moment in ISO 8601; digits beyond microseconds are cut off."""
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise Misfit
    year, dash, month, day, hour, colon, minute, second, fraction, offset = match.groups()
    is_date = hour is None
    if (dash, colon) not in _SPLIT_FORMS or (is_date and offset):
        raise Misfit
    return datetime(
        int(year),
        int(month),
        int(day),
        int(hour or 0),
        int(minute or 0),
        int(second or 0),
        int((fraction or "0")[:6].ljust(6, "0")),
        tzinfo=_parse_offset(offset) if offset else None,
    )


def _parse_offset(offset: str) -> timezone:
    if offset == "Z":
        return UTC
    hours = int(offset[1:3])
    minutes = int(offset[3:].lstrip(":") or 0)
    if hours > 23 or minutes > 59:
        raise Misfit
    distance = timedelta(hours=hours, minutes=minutes)
    return timezone(-distance if offset[0] == "-" else distance)


_PARSERS: dict[str, Callable[[str, Spelling], Any]] = {
    "string": _parse_string,
    "integer": _parse_integer,
    "number": _parse_number,
    "boolean": _parse_boolean,
    "timestamp": _parse_moment,
}
