"""Spellings of each type, and their values."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from include.data.reading.spelling import Misfit, Spelling, parse_text

ISO = Spelling()
GERMAN = Spelling(decimal=",", thousands=".", time_format="%d.%m.%Y %H:%M", time_zone="Europe/Berlin")
NEW_YORK = Spelling(time_zone="America/New_York")


@pytest.mark.parametrize(
    ("text", "dtype", "value"),
    [
        ("9223372036854775807", "integer", 2**63 - 1),
        ("9007199254740993.0", "integer", 2**53 + 1),
        (" +7\t", "integer", 7),
        ("1.5e1", "integer", 15),
        ("NaN", "integer", None),
        (".5", "number", 0.5),
        ("1e-400", "number", 0.0),
        ("nan", "number", None),
        ("", "number", None),
        ("", "string", None),
        (" ", "string", " "),
        ("NaN", "string", "NaN"),
        ("tRuE", "boolean", True),
        ("0", "boolean", False),
        ("0001-01-01T00:00:00Z", "timestamp", datetime(1, 1, 1, tzinfo=UTC)),
        (
            "9999-12-31 23:59:59.9999999Z",
            "timestamp",
            datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        ),
        ("20130101T0500+0530", "timestamp", datetime(2012, 12, 31, 23, 30, tzinfo=UTC)),
        ("2013-01-01 05-05", "timestamp", datetime(2013, 1, 1, 10, tzinfo=UTC)),
        ("2013-01-01T05:00 +00:00", "timestamp", datetime(2013, 1, 1, 5, tzinfo=UTC)),
    ],
)
def test_accepted_spelling_has_its_exact_value(text, dtype, value):
    assert parse_text(text, dtype, ISO) == value


@pytest.mark.parametrize(
    ("text", "dtype"),
    [
        ("9223372036854775808", "integer"),
        ("1e300", "integer"),
        ("1e9999999999999999999", "integer"),
        ("17.5", "integer"),
        ("0x1F", "integer"),
        ("1_000", "number"),
        ("inf", "number"),
        ("1e400", "number"),
        ("nan(x)", "number"),
        ("1,5", "number"),
        ("a\0b", "string"),
        ("\ud800", "string"),
        ("yes", "boolean"),
        ("1.0", "boolean"),
        ("2013-01-01T05:00:00", "timestamp"),
        ("2013-01-01", "timestamp"),
        ("2013-01-01Z", "timestamp"),
        ("2013-01-01T05:00:00z", "timestamp"),
        ("2013-01-01T05:00:00 UTC", "timestamp"),
        ("2013-01-01T24:00Z", "timestamp"),
        ("2013-01-01T05:00:60Z", "timestamp"),
        ("2013-W01-1T05:00Z", "timestamp"),
        ("2013-01-01T05:00+25:00", "timestamp"),
        ("2013-01-01T0500Z", "timestamp"),
        ("0001-01-01T00:00:00+05:00", "timestamp"),
        ("infinity", "timestamp"),
    ],
)
def test_other_spelling_is_a_misfit(text, dtype):
    with pytest.raises(Misfit):
        parse_text(text, dtype, ISO)


@pytest.mark.parametrize(
    ("text", "dtype", "value"),
    [
        ("1.234.567,5", "number", 1234567.5),
        ("1234,5", "number", 1234.5),
        ("1.000", "integer", 1000),
        ("01.07.2013 12:00", "timestamp", datetime(2013, 7, 1, 10, tzinfo=UTC)),
    ],
)
def test_declared_marks_and_formats_are_read(text, dtype, value):
    assert parse_text(text, dtype, GERMAN) == value


@pytest.mark.parametrize(("text", "dtype"), [("1.23,4", "number"), ("1.5", "number"), ("2013", "timestamp")])
def test_text_without_the_declared_marks_is_a_misfit(text, dtype):
    with pytest.raises(Misfit):
        parse_text(text, dtype, GERMAN)


def test_moment_without_zone_is_in_the_declared_zone():
    assert parse_text("2013-07-01T08:00", "timestamp", NEW_YORK) == datetime(2013, 7, 1, 12, tzinfo=UTC)
    assert parse_text("2013-07-01", "timestamp", NEW_YORK) == datetime(2013, 7, 1, 4, tzinfo=UTC)
    assert parse_text("2013-07-01T08:00Z", "timestamp", NEW_YORK) == datetime(2013, 7, 1, 8, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2013-11-03T01:30", "2013-03-10T02:30"], ids=["two times", "never"])
def test_moment_of_a_clock_change_is_a_misfit(text):
    with pytest.raises(Misfit):
        parse_text(text, "timestamp", NEW_YORK)
