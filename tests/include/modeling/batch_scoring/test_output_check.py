from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from include.errors import QualityFailed
from include.modeling.batch_scoring.output_check import ExpectedOutput, check_output, column_types
from include.storage.staging import Staging

NUMBERS = pa.table(
    {"key": ["a", "b"], "_airworthy_prediction": [0.1, 0.9], "_airworthy_version": [3, 3]},
)
NUMBERS_EXPECTED = ExpectedOutput(2, column_types(NUMBERS.schema), 3, (0, 1))
CLASSES = pa.table(
    {
        "key": ["a", "b"],
        "_airworthy_prediction": ["late", "early"],
        "_airworthy_probability_early": [0.2, 0.7],
        "_airworthy_probability_late": [0.8, 0.3],
        "_airworthy_version": [3, 3],
    }
)
CLASSES_EXPECTED = ExpectedOutput(2, column_types(CLASSES.schema), 3, (0, 1), ("early", "late"))


@pytest.fixture
def check(tmp_path):
    def check(table, expected):
        staging = Staging(str(tmp_path))
        return check_output(staging.open(staging.write_table("run", "predictions", table)), expected)

    return check


def change(table, name, values):
    position = table.column_names.index(name)
    return table.set_column(position, name, pa.array(values, type=table.schema.field(name).type))


@pytest.mark.parametrize(
    ("table", "expected"),
    [(NUMBERS, NUMBERS_EXPECTED), (CLASSES, CLASSES_EXPECTED)],
    ids=["numbers", "classes"],
)
def test_right_predictions_pass(check, table, expected):
    result = check(table, expected)
    assert (result.passed, result.rows, result.failed) == (True, 2, {})
    empty = check(table.slice(0, 0), replace(expected, rows=0))
    assert empty.passed


@pytest.mark.parametrize(
    ("table", "expected", "message"),
    [
        (NUMBERS.slice(0, 1), NUMBERS_EXPECTED, "1 rows were scored of 2 rows of features"),
        (NUMBERS.drop_columns("key"), NUMBERS_EXPECTED, "key is missing and not string"),
        (
            NUMBERS.append_column("more", [[1, 2]]),
            NUMBERS_EXPECTED,
            "more is int64 and not expected",
        ),
        (change(NUMBERS, "key", ["a", None]), NUMBERS_EXPECTED, r"null\(key\): 1 values are missing"),
        (
            change(NUMBERS, "_airworthy_prediction", [0.1, None]),
            NUMBERS_EXPECTED,
            "1 predictions are not from 0 to 1",
        ),
        (
            change(NUMBERS, "_airworthy_prediction", [0.1, 1.5]),
            NUMBERS_EXPECTED,
            "1 predictions are not from 0 to 1",
        ),
        (
            change(NUMBERS, "_airworthy_prediction", [float("nan"), 0.5]),
            NUMBERS_EXPECTED,
            "1 predictions are not from 0 to 1",
        ),
        (change(NUMBERS, "_airworthy_version", [3, 2]), NUMBERS_EXPECTED, "1 rows are not of version 3"),
        (
            change(CLASSES, "_airworthy_prediction", ["late", "never"]),
            CLASSES_EXPECTED,
            "1 predictions are none of the classes",
        ),
        (
            change(CLASSES, "_airworthy_probability_late", [0.8, 0.5]),
            CLASSES_EXPECTED,
            "probabilities of 1 rows do not add up to 1",
        ),
    ],
    ids=[
        "rows",
        "missing column",
        "further column",
        "null key",
        "null",
        "range",
        "nan",
        "version",
        "class",
        "sum",
    ],
)
def test_wrong_predictions_are_refused(check, table, expected, message):
    result = check(table, expected)
    with pytest.raises(QualityFailed, match=message):
        result.raise_if_failed("late_predictions", remedy="Nothing was published.")
