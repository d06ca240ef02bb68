from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest

from include.declarations import Column
from include.monitoring.drift import judge_columns, measure_columns

NUMBER = Column(name="value", dtype="number")
TEXT = Column(name="value", dtype="string")
ROWS = 2_000


def fault(old, new, column=NUMBER, *, may_be_constant=False):
    frames = (pd.DataFrame({"value": values}) for values in (old, new))
    verdicts = judge_columns(
        measure_columns(*frames, [column]), 0.01, {}, may_be_constant=lambda _: may_be_constant
    )
    return verdicts["value"]["fault"]


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    ("convert", "name"),
    [
        (lambda miles: miles * 1.609344, "miles became kilometres"),
        (lambda metres: metres / 0.3048, "metres became feet"),
        (lambda degrees: (degrees - 32) * 5 / 9, "degrees Fahrenheit became degrees Celsius"),
        (lambda dollars: dollars * 100, "x became 100 x"),
        (lambda degrees: -degrees, "x became -x"),
    ],
)
def test_converted_values_are_a_unit_change(random, convert, name):
    old = random.gamma(3, 30, ROWS)
    assert fault(old, convert(random.gamma(3, 30, 300))) == f"unit change: as if {name}"


@pytest.mark.parametrize("change", [lambda new: new + 20, lambda new: new * 1.3, lambda new: new**1.2])
def test_other_shifts_are_no_unit_change(random, change):
    assert fault(random.gamma(3, 30, ROWS), change(random.gamma(3, 30, ROWS))) == ""


def test_value_that_never_was_constant_is_stuck(random):
    find = partial(fault, random.normal(size=ROWS), np.full(300, 0.3))
    assert find() == "stuck: all values are the same"
    assert find(may_be_constant=True) == ""


def test_many_missing_values_are_a_fault_and_few_are_none(random):
    old = random.normal(size=ROWS)
    new = random.normal(size=ROWS)
    assert fault(old, np.where(random.random(ROWS) < 0.3, np.nan, new)).startswith("missing values: 3")
    assert fault(old, np.where(random.random(ROWS) < 0.1, np.nan, new)) == ""
    assert fault(np.where(random.random(ROWS) < 0.3, np.nan, old), new) == ""


def test_new_category_with_the_share_of_a_vanished_one_is_it(random):
    old = random.choice(["UA", "AA", "DL"], ROWS, p=[0.5, 0.3, 0.2])
    new = pd.Series(random.choice(["UA", "AA", "DL"], 400, p=[0.5, 0.3, 0.2]))
    assert fault(old, new.replace("UA", "United"), TEXT) == "renamed category: UA became United"
    assert fault(old, random.choice(["United", "AA", "DL"], 400, p=[0.2, 0.5, 0.3]), TEXT) == ""
    assert fault(old, random.choice(["UA", "AA", "B6"], 400, p=[0.4, 0.2, 0.4]), TEXT) == ""
