from __future__ import annotations

from include.scaffold.source_text import Call, Raw, assignment, layout


def test_short_value_stays_in_one_line():
    assert assignment("A", Call("F", {"name": 'a "b"', "keys": ("c",), "on": Raw("date(1, 2, 3)")})) == (
        'A = F(name=\'a "b"\', keys=("c",), on=date(1, 2, 3))'
    )


def test_long_value_has_one_argument_a_line():
    text = layout(Call("F", {"first": "a" * 60, "second": {"b": "c" * 60}}))
    assert text.splitlines() == ["F(", f'    first="{"a" * 60}",', f'    second={{"b": "{"c" * 60}"}},', ")"]


def test_comment_stands_above_its_argument():
    text = layout(Call("F", {"a": 1, "b": 2}, {"b": "Why."}))
    assert text == "F(\n    a=1,\n    # Why.\n    b=2,\n)"
