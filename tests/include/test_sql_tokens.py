from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.sql_tokens import parameters, single_statement, split_tokens, to_text

PARTS = [
    "'",
    '"',
    "`",
    "$$",
    "$a$",
    "--",
    "/*",
    "*/",
    "\n",
    ":start",
    ":end",
    "::",
    ";",
    "\\",
    "E'",
    "#",
    " x",
]


@given(st.lists(st.sampled_from(PARTS)).map("".join), st.sampled_from(["standard", "mysql"]))
def test_tokens_are_the_whole_query(query, rules):
    assert to_text(split_tokens(query, rules)) == query


@pytest.mark.parametrize(
    "text",
    [
        "':start'", "'it''s :start'", r"'C:\' || x || ':start'", r"E'\' :start'", "$$ :start ' $$",
        "$a$ $$ :start $a$", '":start"', "-- :start", "/* :start */", "/* a /* b */ :start */", "x::start",
        ":started", "a[n:start]", "a[1:start]", "'never closed :start", "f(a := start)",
    ],
)  # fmt: skip
def test_word_in_other_tokens_is_no_parameter(text):
    assert parameters(split_tokens(f"SELECT {text}")) == set()


@pytest.mark.parametrize(
    "text",
    [
        ":start",
        "x>=:start::date",
        "(:start)",
        "'a' || :start",
        "$1$ :start",
        "/* a */ :start",
        "-- a\n:start",
    ],
)
def test_word_in_code_is_a_parameter(text):
    assert parameters(split_tokens(f"SELECT {text}")) == {"start"}


def test_mysql_has_rules_of_its_own():
    query = r"""SELECT 'it\'s :start', ":start" # :start
        , 5--:end"""
    assert parameters(split_tokens(query, "mysql")) == {"end"}
    assert parameters(split_tokens("SELECT j #> '{a}', :start")) == {"start"}


@pytest.mark.parametrize("end", [";", " ;\n", " -- a note", " /* a; note */ ; -- and another", "\n"])
def test_statement_has_no_end(end):
    assert to_text(single_statement(f"SELECT ';' -- a; b\n, 1{end}")) == "SELECT ';' -- a; b\n, 1"


@pytest.mark.parametrize(("query", "count"), [("-- nothing", 0), ("", 0), ("SELECT 1; SELECT 2", 2)])
def test_other_than_one_statement_is_refused(query, count):
    with pytest.raises(ValueError, match=f"there are {count} statements"):
        single_statement(query)
