from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.data.snapshots.target_encoding import encode
from include.declarations import Label
from include.errors import DataError

MISSING = np.nan


def label(**changes):
    return Label(dataset="customers", column="churned", **changes)


ENCODED = {
    "number": ({}, [1.5, None], None, [1.5, MISSING]),
    "above": ({"above": 15}, [15, 15.5, None], None, [0, 1, MISSING]),
    "bands": (
        {"bands": (15, 60), "classes": ("a", "b", "c")},
        [-5, 15, 15.5, 60, 61, None], None, [0, 0, 1, 1, 2, MISSING],
    ),
    "classes": ({"classes": ("Iris-setosa", "b", "c")}, ["c", None, "Iris-setosa"], object, [2, MISSING, 0]),
    "integer classes": ({"classes": (3, 1, 2)}, [1, 3, None], "Int64", [1, 0, MISSING]),
    "positive text": ({"positive": "Yes"}, ["Yes", "No", None, "yes"], object, [1, 0, MISSING, 0]),
    "positive integer": ({"positive": 2}, [1, 2, None], "Int64", [0, 1, MISSING]),
    "boolean": ({}, [True, False, None], "boolean", [1, 0, MISSING]),
    "boolean without nulls": ({}, [True, False], bool, [1, 0]),
    "negated": ({"positive": False}, [True, False, None], "boolean", [0, 1, MISSING]),
}  # fmt: skip


@pytest.mark.parametrize("form", ENCODED)
def test_target_follows_from_the_declared_form(form):
    changes, values, dtype, expected = ENCODED[form]
    target = encode(label(**changes), pd.Series(values, dtype=dtype))
    np.testing.assert_array_equal(target.to_numpy(), expected)
    assert target.dtype == np.float64


def test_value_that_is_no_declared_class_is_named():
    declared = label(classes=("landed", "diverted", "cancelled"))
    with pytest.raises(DataError, match=r"churned has values lost .* declared classes landed"):
        encode(declared, pd.Series(["lost", "landed"]))


def test_text_where_a_number_is_needed_is_named():
    with pytest.raises(DataError, match=r"customers: churned has values that are no numbers.*positive"):
        encode(label(above=1), pd.Series(["UA", None]))
