"""Gate of batch predictions: what was staged is read again and checked before it is published."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.data.validation.results import CheckResult, ValidationResult, passed
from include.inference.predictions import PREDICTION, PROBABILITY_TOLERANCE, VERSION, outside_range
from include.modeling.batch_scoring.scorer import probability_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from include.storage.staging import StagedTable


@dataclass(frozen=True, slots=True)
class ExpectedOutput:
    """
    What the predictions of some partitions must be like.

    Attributes
    ----------
    rows : int
        Rows of the features.
    columns : mapping of str to str
        Type of each column.
    version : int
        Version that was asked for.
    prediction_range : sequence of float
        Smallest and largest valid prediction.
    classes : sequence
        Classes of a multiclass model as they stand in the data.
    """

    rows: int
    columns: Mapping[str, str]
    version: int
    prediction_range: Sequence[float]
    classes: Sequence[str | int] = ()


@dataclass
class _Violations:
    """Numbers of values that break each rule, and of rows."""

    rows: int = 0
    nulls: dict[str, int] = field(default_factory=dict)
    other_versions: int = 0
    outside: int = 0
    unknown_classes: int = 0
    sums: int = 0


def check_output(staged: StagedTable, expected: ExpectedOutput) -> ValidationResult:
    """
    Check staged predictions: schema, number of rows, nulls, version, range, classes and their probabilities.

    The file is read one batch after the other. With another schema, nothing else is checked.
    """
    schema_result = _check_schema(column_types(staged.schema), expected.columns)
    if not schema_result.success:
        return ValidationResult(passed=False, rows=staged.n_rows, results=(schema_result,))
    violations = _Violations()
    for batch in staged.batches():
        _count_violations(violations, batch, expected)
    results = (schema_result, *_check_results(violations, expected))
    return ValidationResult(passed(results), violations.rows, results)


def column_types(schema: pa.Schema) -> dict[str, str]:
    """Return the type of each column by name."""
    return {column.name: str(column.type) for column in schema}


def _check_schema(actual_types: Mapping[str, str], expected_types: Mapping[str, str]) -> CheckResult:
    names = [*expected_types, *(name for name in actual_types if name not in expected_types)]
    different = [name for name in names if actual_types.get(name) != expected_types.get(name)]
    described = ", ".join(
        f"{name} is {actual_types.get(name, 'missing')} and not {expected_types.get(name, 'expected')}"
        for name in different
    )
    return _critical_result("expect_table_columns_to_match_set", "columns", len(different), described)


def _count_violations(violations: _Violations, batch: pa.RecordBatch, expected: ExpectedOutput) -> None:
    violations.rows += batch.num_rows
    for name in batch.schema.names:
        violations.nulls[name] = violations.nulls.get(name, 0) + batch.column(name).null_count
    other = pc.sum(pc.not_equal(batch.column(VERSION), expected.version)).as_py()
    violations.other_versions += other or 0
    low, high = expected.prediction_range
    valid_range = (low, high)
    if not expected.classes:
        predictions = _as_matrix(batch, [PREDICTION])
        violations.outside += int(outside_range(predictions, valid_range).any(axis=1).sum())
        return
    is_class = pc.is_in(batch.column(PREDICTION), pa.array(list(expected.classes)))
    violations.unknown_classes += batch.num_rows - (pc.sum(is_class).as_py() or 0)
    probabilities = _as_matrix(batch, probability_columns(expected.classes))
    violations.outside += int(outside_range(probabilities, valid_range).any(axis=1).sum())
    # Negated, so that NaN is wrong.
    is_right = np.abs(probabilities.sum(axis=1) - 1) <= PROBABILITY_TOLERANCE
    violations.sums += int((~is_right).sum())


def _as_matrix(batch: pa.RecordBatch, names: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return columns of numbers as float64 (n, k); nulls are NaN."""
    return np.column_stack([batch.column(name).to_numpy(zero_copy_only=False) for name in names])


def _check_results(violations: _Violations, expected: ExpectedOutput) -> list[CheckResult]:
    low, high = expected.prediction_range
    rows = violations.rows
    results = [
        _critical_result(
            "expect_table_row_count_to_equal",
            "rows",
            abs(rows - expected.rows),
            f"{rows:,} rows were scored of {expected.rows:,} rows of features",
        )
    ]
    results += [
        _critical_result("expect_column_values_to_not_be_null", name, count, f"{count:,} values are missing")
        for name, count in violations.nulls.items()
    ]
    results += [
        _critical_result(
            "expect_column_values_to_be_in_set",
            VERSION,
            violations.other_versions,
            f"{violations.other_versions:,} rows are not of version {expected.version}",
        ),
        _critical_result(
            "expect_column_values_to_be_between",
            PREDICTION,
            violations.outside,
            f"{violations.outside:,} predictions are not from {low:g} to {high:g}",
        ),
    ]
    if expected.classes:
        results += [
            _critical_result(
                "expect_column_values_to_be_in_set",
                PREDICTION,
                violations.unknown_classes,
                f"{violations.unknown_classes:,} predictions are none of the classes of the model",
            ),
            _critical_result(
                "expect_multicolumn_sum_to_equal",
                "probabilities",
                violations.sums,
                f"the probabilities of {violations.sums:,} rows do not add up to 1",
            ),
        ]
    return results


def _critical_result(expectation: str, column: str, failed: int, message: str) -> CheckResult:
    """Return the result of a critical check that `failed` rows break."""
    return CheckResult(
        expectation=expectation,
        column=column,
        severity="critical",
        success=not failed,
        failed_rows=failed,
        examples=(),
        message=message if failed else "",
        blocking=bool(failed),
    )
