"""Formats of files: impossible dialects are refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from include.declarations import FileSource, HttpSource


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"delimiter": '"'}, "quote: '\"' is the delimiter already"),
        ({"delimiter": ";", "escape": ";"}, "escape: ';' is the delimiter already"),
        ({"delimiter": "\n"}, "should match pattern"),
        ({"delimiter": "ä"}, "should match pattern"),
        ({"delimiter": ";;"}, "should match pattern"),
        ({"decimal": ",", "thousands": ","}, "thousands: ',' is the decimal already"),
        ({"thousands": "0"}, "thousands: '0' may be part of a number"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"time_format": "%d.%m."}, "time_format: '%d.%m.' does not name year, month and day"),
        ({"multiline": True, "quote": None}, "multiline: without a quote no value can have a line end"),
        ({"split_by": "at"}, "split_by: one file of all partitions has no {partition} in its path"),
        ({"rename": {"A": "a", "B": "a"}}, "rename: a named more than once"),
        ({"format": "jsonl", "nulls": ("NA",)}, "nulls: only for format csv, not jsonl"),
    ],
)
def test_impossible_dialect_is_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        FileSource(**{"path": "{partition}.csv"} | fields)


def test_possible_dialect_is_kept():
    german = FileSource(
        path="{partition}.csv",
        delimiter=";",
        decimal=",",
        thousands=".",
        time_format="%d.%m.%y %H:%M",
        time_zone="Europe/Berlin",
        nulls=("NA", "?"),
        rename={"Kunde (Nr.)": "customer"},
    )
    assert german.quote == '"'
    assert HttpSource(conn_id="a", path="{partition}", time_zone="UTC").format == "jsonl"
