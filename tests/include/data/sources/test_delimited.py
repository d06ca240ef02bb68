"""CSV files: every line is a row or malformed."""

from __future__ import annotations

import pytest

from include.data.lake.dtypes import to_frame
from include.data.reading.table import MALFORMED, MISFITS, MalformedLine, misfits_by_column
from include.data.sources import delimited
from include.data.sources.delimited import parse_delimited
from include.data.sources.formats import Layout, Unreadable
from include.declarations import Column, FileSource

COLUMNS = (
    Column(name="number", dtype="integer"),
    Column(name="text", dtype="string"),
    Column(name="more", dtype="string"),
)
LINES = [f"{number},n{number},m{number}" for number in range(1000)]


def parse(lines, **dialect):
    content = "\n".join(["number,text,more", *lines]) + "\n"
    layout = Layout(COLUMNS, FileSource(path="{partition}", **dialect))
    (block,) = parse_delimited([content.encode()], layout)
    frame = to_frame(block.table)
    malformed = [MalformedLine.from_json(line).line for line in frame[MALFORMED].dropna()]
    return frame[frame[MALFORMED].isna()], malformed


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(delimited, "PART_BYTES", 200)


def spoil(**lines):
    changed = list(LINES)
    for name, line in lines.items():
        changed[int(name[1:])] = line
    return changed


TEN_PAIRS = {}
for start in range(0, 1000, 100):
    TEN_PAIRS |= {f"_{start}": f'{start},"broken,m', f"_{start + 40}": f'{start + 40},n",m'}
STRAY_QUOTES = {
    "control": ({}, []),
    "a pair": ({"_300": '300,"broken,m300', "_340": '340,n340",m340'}, [302]),
    "two pairs": ({"_300": '300,"a300,m300', "_340": '340,a340,"b340,m'}, [302, 342]),
    "never closed": ({"_300": '300,n300,"m300'}, [302]),
    "in the text": ({"_300": "300,5' 10\" tall,m300"}, []),
    "even, but open": ({"_300": '300,5" tall,"m300'}, [302]),
    "ten pairs": (TEN_PAIRS, [2 + start for start in range(0, 1000, 100)]),
}


@pytest.mark.parametrize("name", STRAY_QUOTES)
def test_stray_quote_swallows_no_other_line(name, small_parts):
    changes, malformed_lines = STRAY_QUOTES[name]
    rows, malformed = parse(spoil(**changes))
    assert malformed == malformed_lines
    assert len(rows) + len(malformed) == 1000
    numbers = set(rows["number"])
    assert numbers == set(range(1000)) - {line - 2 for line in malformed_lines}


def test_declared_line_end_in_a_value_belongs_to_it():
    rows, malformed = parse(['1,"a\nb, ""c""",x', "2", "3,d,e"], multiline=True)
    assert (list(rows["text"]), malformed) == (['a\nb, "c"', "d"], [4])


def test_declared_line_end_in_an_open_quote_is_unreadable():
    with pytest.raises(Unreadable, match="has a quote in the record of line 3 that is never closed"):
        parse(["1,a,b", '2,"c,d', "3,e,f"], multiline=True)


def test_escape_is_read_and_swallows_no_line():
    rows, malformed = parse([r'1,"a\"b",x', r"2,a\,b,x", "3,b,c\\", "4,d,e"], escape="\\")
    assert (list(rows["text"]), malformed) == (['a"b', "a,b", "d"], [4])


def test_letter_for_quote_is_a_letter():
    rows, malformed = parse(['1,"a,b"', "2,'c,d',e"], quote=None)
    assert (list(rows["text"]), malformed) == (['"a'], [3])
    rows, malformed = parse(["1,'c,d',e"], quote="'")
    assert (list(rows["text"]), malformed) == (["c,d"], [])


def test_null_markers_are_null_in_every_column():
    rows, _ = parse(["NA,NA,?", "1,,na"], nulls=("NA", "?"))
    assert rows.isna()[["number", "text", "more"]].to_numpy().tolist() == [[True] * 3, [False, True, False]]


@pytest.mark.parametrize("bad", ["0x1F", "9223372036854775808", "1.5", "inf", "a\0"])
def test_bad_value_changes_no_other_row(bad, small_parts):
    lines = [f"{2**53 + number},n,m" for number in range(100)]
    content = "\n".join(["number,text,more", *lines, f"{bad},n,m"]) + "\n"
    layout = Layout(COLUMNS, FileSource(path="{partition}"))
    (block,) = parse_delimited([content.encode()], layout)
    frame = to_frame(block.table)
    assert frame["number"].tolist()[:100] == [2**53 + number for number in range(100)]
    assert misfits_by_column(frame[MISFITS])["number"].to_dict() == {100: bad}


def test_undeclared_name_may_be_repeated():
    layout = Layout(COLUMNS[:1], FileSource(path="{partition}"))
    (block,) = parse_delimited([b"x,number,x\na,1,b\n"], layout)
    assert (block.table["number"].to_pylist(), block.undeclared) == ([1], ("x",))


def test_long_line_is_malformed_by_itself(small_parts):
    rows, malformed = parse(spoil(_300="300," + "x" * 1000))
    assert (len(rows), malformed) == (999, [302])
