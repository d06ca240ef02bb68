from __future__ import annotations

import json
import re

import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.data.lake.spellings import MAX_LETTER_BYTES, spelling_pattern

TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=6)


def spellings(value):
    ascii_only = json.dumps(value)[1:-1]
    escaped = "".join(json.dumps(letter)[1:-1] if ord(letter) > 126 else letter for letter in value)
    units = re.findall("....", value.encode("utf-16-be").hex())
    unescaped = json.dumps(value, ensure_ascii=False)[1:-1]
    return {
        value, ascii_only, escaped, unescaped, ascii_only.replace("/", "\\/"),
        "".join(f"\\u{unit}" for unit in units), "".join(f"\\u{unit.upper()}" for unit in units),
        value.replace('"', '""'), value.replace('"', '\\"'),
    }  # fmt: skip


@given(TEXTS)
def test_pattern_matches_all_spellings(value):
    pattern = spelling_pattern(value)
    for text in spellings(value):
        assert re.fullmatch(pattern, text)
        assert re.fullmatch(pattern.encode(), text.encode())
        assert pc.match_substring_regex(text, pattern=f"^(?:{pattern})$").as_py()
        assert len(text.encode()) <= MAX_LETTER_BYTES * len(value)


@pytest.mark.parametrize(
    ("value", "other"), [("ann", "anm"), ("a.b", "axb"), ("ann", "\\u0061nm"), ('a"b', "ab"), ("n", "\n")]
)
def test_pattern_matches_no_other_value(value, other):
    assert not re.fullmatch(spelling_pattern(value), other)


def test_mark_after_a_declared_escape_is_matched():
    assert re.fullmatch(spelling_pattern('a"b', "^"), 'a^"b')
    assert not re.fullmatch(spelling_pattern('a"b'), 'a^"b')
