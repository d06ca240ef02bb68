"""JSON lines: every line is a row or malformed."""

from __future__ import annotations

import pyarrow as pa
import pytest

from include.data.lake.dtypes import to_frame
from include.data.reading.raw import display
from include.data.reading.table import MALFORMED, MISFITS, MalformedLine, misfits_by_column
from include.data.sources import json_lines
from include.data.sources.formats import Layout, Unreadable
from include.data.sources.json_lines import parse_json_lines
from include.declarations import Column, FileSource

COLUMNS = (
    Column(name="id", dtype="string"),
    Column(name="count", dtype="integer"),
    Column(name="level", dtype="number"),
)
GOOD = [f'{{"id": "r{number}", "count": {2**53 + number}, "level": 0.1}}' for number in range(200)]


def parse(lines, **declared):
    layout = Layout(COLUMNS, FileSource(path="{partition}", format="jsonl", **declared))
    blocks = list(parse_json_lines(["\n".join(lines).encode()], layout))
    frame = to_frame(pa.concat_tables([block.table for block in blocks]))
    return frame, blocks[0].undeclared


@pytest.mark.parametrize(
    ("line", "misfits"),
    [
        ('{"id": 7, "count": 1, "level": 1}', {"id": "7"}),
        ('{"id": true, "count": 1, "level": 1}', {"id": "true"}),
        ('{"id": {"a": 1}, "count": 1, "level": 1}', {"id": '{"a": 1}'}),
        ('{"id": ["a"], "count": 1, "level": 1}', {"id": '["a"]'}),
        (r'{"id": "a\u0000", "count": 1, "level": 1}', {"id": r"a\u0000"}),
        (r'{"id": "\ud800", "count": 1, "level": 1}', {"id": r"\ud800"}),
        ('{"id": "a", "count": 9223372036854775809, "level": 1}', {"count": "9223372036854775809"}),
        ('{"id": "a", "count": 1e300, "level": 1}', {"count": "1E+300"}),
        ('{"id": "a", "count": true, "level": false}', {"count": "true", "level": "false"}),
        ('{"id": "a", "count": 1, "level": Infinity}', {"level": "inf"}),
        ('{"id": "a", "count": 1.0, "level": "1.5"}', {}),
        ('{"id": "a", "count": null, "level": NaN}', {}),
    ],
)
def test_odd_value_changes_no_other_row(line, misfits):
    frame, _ = parse([*GOOD, line])
    assert frame["count"].tolist()[:200] == [2**53 + number for number in range(200)]
    columns = {
        name: values.map(display).to_dict() for name, values in misfits_by_column(frame[MISFITS]).items()
    }
    assert columns == {name: {200: text} for name, text in misfits.items()}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"id": "a", "id": "b"}', "it has id more than once"),
        ('{"id": "a"} {"id": "b"}', "it is no JSON: Extra data"),
        ('{"id": "a"', "it is no JSON: "),
        ("[" * 100_000, "it is no JSON: it is nested too deeply"),
        ("7", "it is no JSON object, but int"),
    ],
)
def test_line_that_is_no_object_is_malformed(line, reason):
    frame, _ = parse([*GOOD, line])
    (malformed,) = [MalformedLine.from_json(text) for text in frame[MALFORMED].dropna()]
    assert (malformed.line, malformed.text, len(frame)) == (201, line, 201)
    assert malformed.reason.startswith(reason)


def test_objects_that_share_lines_are_malformed():
    # Two objects in a line and an object in two lines are as many objects as lines.
    frame, _ = parse([*GOOD, GOOD[0] + GOOD[1], '{"id":', '"a"}'])
    assert frame[MALFORMED].notna().sum() == 3


def test_bad_line_is_parsed_alone(monkeypatch):
    monkeypatch.setattr(json_lines, "PART_BYTES", 200)
    layout = Layout(COLUMNS, FileSource(path="{partition}", format="jsonl"))
    blocks = list(parse_json_lines(["\n".join([*GOOD, "x" * 1000, *GOOD]).encode()], layout))
    assert len(blocks) > 10
    assert sum(block.table.num_rows for block in blocks) == 401


def test_names_in_the_file_are_renamed():
    lines = [line.replace("count", "The Count") for line in GOOD]
    frame, undeclared = parse(
        [line.replace("}", ', "x": 1}') for line in lines], rename={"The Count": "count"}
    )
    assert (frame["count"].tolist()[0], undeclared) == (2**53, ("x",))


def test_missing_column_is_unreadable():
    with pytest.raises(Unreadable, match="lacks level; it has id, count"):
        parse(['{"id": "a", "count": 1}'])


@pytest.mark.parametrize("depth", [400, 100_000])
def test_deeply_nested_value_ends_neither_process_nor_others(depth):
    nested = f'{{"id": "n", "count": 1, "level": 1, "more": {"[" * depth}{"]" * depth}}}'
    frame, _ = parse([*GOOD, nested])
    assert frame["count"].tolist()[:200] == [2**53 + number for number in range(200)]
    reasons = [MalformedLine.from_json(line).reason for line in frame[MALFORMED].dropna()]
    assert reasons == (["it is no JSON: it is nested too deeply"] if depth > 1_000 else [])


@pytest.mark.parametrize("number", ["-0", "1.7976931348623159e308"])
def test_number_is_the_same_whatever_its_neighbours_are(number):
    line = f'{{"id": "z", "count": 1, "level": {number}}}'
    first, _ = parse([line])
    second, _ = parse([line, '{"id": 7, "count": 1, "level": 1}'])
    assert repr(first["level"][0]) == repr(second["level"][0])
    misfits = [misfits_by_column(frame[MISFITS]).get("level", {}) for frame in (first, second)]
    assert [str(values.get(0)) for values in misfits] == [str(misfits[0].get(0))] * 2
