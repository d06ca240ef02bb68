from __future__ import annotations

from typing import get_args

import numpy as np
import pandas as pd
import pytest

from include.errors import DataError
from include.feature_values import (
    DTYPES,
    ColumnType,
    base_kind,
    column_kind,
    estimator_array,
    estimator_column,
    estimator_frame,
    nullable_kind,
    request_values,
    require_complete,
)

VALUES = {
    "boolean": [True, False], "integer": [1, 2], "long": [1, 2], "float": [1.5, 2.0], "double": [1.5, 2.0],
    "string": ["a", ""], "datetime": ["2013-07-01T12:00:00Z", "2013-07-02T00:00:00Z"],
}  # fmt: skip


@pytest.mark.parametrize("kind", get_args(ColumnType))
def test_request_and_frame_have_one_form(kind):
    values = VALUES[base_kind(kind)]
    if kind.endswith("?"):
        values = [*values, None]
    requested = pd.Series(estimator_array(values, kind))
    column = pd.Series(values, dtype=object) if base_kind(kind) != "datetime" else requested
    framed = estimator_column(column, kind)
    pd.testing.assert_series_equal(requested, framed, check_names=False)
    assert str(framed.dtype) == DTYPES[kind]
    assert framed.isna().sum() == kind.endswith("?")


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [("Int64", "long"), ("boolean", "boolean"), ("Float64", "double"), ("string", "string")],
)
def test_missing_of_pandas_become_those_of_estimators(dtype, kind):
    values = VALUES[kind]
    column = estimator_column(pd.Series([*values, None], dtype=dtype, name="x"), nullable_kind(kind))
    assert str(column.dtype) == ("object" if kind == "string" else "float64")
    assert column.iloc[2] is None or np.isnan(column.iloc[2])
    assert request_values(column, nullable_kind(kind)) == [*values, None]


def test_complete_columns_stay_as_they_are():
    frame = pd.DataFrame({"x": [1.0], "y": ["a"]})
    kinds = {"x": "double?", "y": "string?"}
    assert column_kind(frame["x"]) == "double"
    pd.testing.assert_frame_equal(estimator_frame(frame, kinds), frame)


def test_values_of_another_type_are_named():
    with pytest.raises(DataError, match=r"x is not of type long\?: .*Correct its feature view"):
        estimator_column(pd.Series(["a", None], name="x"), "long?")


def test_missing_values_are_counted_by_column():
    frame = pd.DataFrame({"x": [1.0, np.nan], "y": ["a", None]})
    with pytest.raises(DataError, match=r"these features: x in 1 of 2 rows\. Fill"):
        require_complete(frame, {"x": "double", "y": "string?"})
    require_complete(frame, {"x": "double?", "y": "string?"})
