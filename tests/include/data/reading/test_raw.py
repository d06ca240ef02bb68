"""Raw values as JSON and as text."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from include.data.reading.raw import Opaque, decode_raw, display, encode_raw

VALUES = [
    None, "text", "a\0b", "\ud800", 7, 2**70, True, 1.5, Decimal("1E+999"), date(2013, 1, 1),
    datetime(2013, 1, 1), datetime(9999, 12, 31, tzinfo=UTC),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_raw_value_is_read_back_from_json(value):
    encoded = encode_raw({"column": value})
    assert "\0" not in encoded
    assert decode_raw(encoded) == {"column": value}


@pytest.mark.parametrize(("value", "text"), [({"a": [1]}, '{"a": [1]}'), (b"x", "b'x'"), (Opaque("5"), "5")])
def test_value_of_no_declared_type_becomes_opaque(value, text):
    assert decode_raw(encode_raw({"column": value})) == {"column": Opaque(text)}


def test_infinity_is_read_back_as_a_number():
    assert decode_raw(encode_raw({"column": float("-inf")})) == {"column": float("-inf")}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("N\0A\ud800", r"N\u0000A\ud800"),
        (True, "true"),
        (date(2013, 1, 1), "2013-01-01"),
        (2**70, str(2**70)),
    ],
)
def test_displayed_value_can_be_stored_as_json(value, text):
    assert display(value) == text
