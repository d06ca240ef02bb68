from __future__ import annotations

import pytest
from pydantic import ValidationError

from include.declarations import Column

IMPOSSIBLE = {
    "no allowed value": ({"dtype": "string", "allowed": ()}, "x: allowed: it is empty"),
    "bound beyond all numbers": ({"dtype": "number", "maximum": 10**400}, "a number is at most 1.8e308"),
    "texts of an integer": ({"dtype": "integer", "allowed": ("1", "2")}, "allowed: '1', '2' is no integer"),
    "fraction of an integer": ({"dtype": "integer", "allowed": (1, 1.5)}, "allowed: 1.5 is no integer"),
    "number of a text": ({"dtype": "string", "allowed": (1,)}, "allowed: 1 is no string"),
    "set of a boolean": ({"dtype": "boolean", "allowed": ("true",)}, "a boolean cannot be limited"),
    "set of moments": ({"dtype": "timestamp", "allowed": ("2013",)}, "a timestamp cannot be limited"),
    "value out of bounds": (
        {"dtype": "integer", "allowed": (1, 9), "maximum": 5}, "allowed: 9 is outside of minimum and maximum",
    ),
    "bound of a text": ({"dtype": "string", "minimum": 0}, "a string has no bounds"),
    "bound of a boolean": ({"dtype": "boolean", "maximum": 1}, "a boolean has no bounds"),
    "bound of a moment": ({"dtype": "timestamp", "maximum": 10}, "a timestamp has no bounds"),
    "bounds without an integer": ({"dtype": "integer", "minimum": 0.2, "maximum": 0.8}, "no integer"),
    "bound above 64 bits": ({"dtype": "integer", "minimum": 2**63}, "no integer from 9223372036854775808"),
    "bounds that cross": ({"dtype": "number", "minimum": 2, "maximum": 1}, "minimum 2 is above maximum 1"),
    "text that is null": ({"dtype": "string", "allowed": ("a", "")}, "allowed: no row has ''"),
    "text that is refused": ({"dtype": "string", "allowed": ("\ud800", "a\0")}, "allowed: no row has"),
    "integer above 64 bits": ({"dtype": "integer", "allowed": (2**63,)}, "no row has 9223372036854775808"),
    "number above all": ({"dtype": "number", "allowed": (1, 10**400)}, "allowed: no row has 1000"),
    "two at once": (
        {"dtype": "string", "minimum": 0, "maximum_nulls": 0.5}, "no bounds.*; maximum_nulls: ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_promise_that_no_value_can_keep_names_the_column(case):
    fields, message = IMPOSSIBLE[case]
    with pytest.raises(ValidationError, match=f"x: .*{message}" if "x: " not in message else message):
        Column(name="x", **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"dtype": "integer", "allowed": (1, 2, 3), "minimum": 0},
        {"dtype": "number", "allowed": (0.5, 1)},
        {"dtype": "string", "allowed": ("a", "😀", " ")},
        {"dtype": "integer", "allowed": (-(2**63), 2**63 - 1)},
        {"dtype": "integer", "minimum": 2**63 - 1},
        {"dtype": "integer", "maximum": 9007199254740993},
        {"dtype": "number", "minimum": 0.2, "maximum": 0.8},
    ],
)
def test_possible_promise_is_kept_as_it_is_declared(fields):
    column = Column(name="x", **fields)
    again = Column.model_validate_json(column.model_dump_json())
    assert {name: getattr(again, name) for name in fields} == fields
