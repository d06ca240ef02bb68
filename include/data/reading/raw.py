"""Raw values that do not fit: as JSON, from which they can be read again, and as text for people."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from math import isfinite
from typing import Any

# Ends the text of a moment that is not between the years 1 and 9999.
SINCE_EPOCH = "since 1970"
_UNPRINTABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Opaque:
    """The text of a value that fits no declared type, such as a list or bytes."""

    text: str


def encode_raw(values: dict[str, Any]) -> str:
    """Return raw values by column as JSON."""
    return json.dumps({name: _encode(value) for name, value in values.items()})


def decode_raw(text: str) -> dict[str, Any]:
    """Return the raw values of `encode_raw`; a value of no declared type is `Opaque`."""
    return {name: _decode(value) for name, value in json.loads(text).items()}


def display(value: Any) -> str:
    """Return a raw value as text for people, without characters that JSON or a page cannot hold."""
    return escape(_text(value))


def escape(text: str) -> str:
    r"""Return the text with U+0000 and lone surrogates as `\u0000`: PostgreSQL's JSON refuses them."""
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Opaque):
        return value.text
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, default=str)
    return value.isoformat() if isinstance(value, date) else str(value)


def _encode(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else {"infinity": str(value)}
    if isinstance(value, Decimal):
        return {"number": str(value)}
    if isinstance(value, datetime):
        return {"moment": value.isoformat()}
    if isinstance(value, date):
        return {"day": value.isoformat()}
    return {"other": _text(value)}


def _decode(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, text),) = value.items()
    if kind == "infinity":
        return float(text)
    if kind == "number":
        return Decimal(text)
    if kind == "moment":
        return datetime.fromisoformat(text)
    return date.fromisoformat(text) if kind == "day" else Opaque(text)
