"""
Values of features as an estimator gets them: one conversion for training, batches, requests and look-ups.

A missing value is NaN in numbers, also in integers and booleans that may be missing, which are float64; it is
None in text and NaT in times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import pandas as pd

from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from include.declarations.specification import Specification

# With a question mark, values may be missing.
ColumnType = Literal[
    "boolean", "integer", "long", "float", "double", "string", "datetime",
    "boolean?", "integer?", "long?", "float?", "double?", "string?", "datetime?",
]  # fmt: skip
MOMENT: Any = "datetime64[ns, UTC]"
# Type of the column that an estimator gets.
DTYPES: dict[str, Any] = {
    "boolean": "bool", "integer": "int32", "long": "int64", "float": "float32", "double": "float64",
    "string": "object", "datetime": MOMENT, "boolean?": "float64", "integer?": "float64",
    "long?": "float64", "float?": "float32", "double?": "float64", "string?": "object", "datetime?": MOMENT,
}  # fmt: skip
KINDS: dict[str, ColumnType] = {
    "string": "string", "integer": "long", "number": "double", "boolean": "boolean", "timestamp": "datetime",
}  # fmt: skip


def may_be_missing(kind: ColumnType) -> bool:
    """Return whether values of a column may be missing."""
    return kind.endswith("?")


def base_kind(kind: ColumnType) -> ColumnType:
    """Return the type of a column without the mark that values may be missing."""
    return cast("ColumnType", kind.removesuffix("?"))


def nullable_kind(kind: ColumnType) -> ColumnType:
    """Return the type of the same column where values may be missing."""
    return cast("ColumnType", f"{base_kind(kind)}?")


def specified_kinds(specification: Specification) -> dict[str, ColumnType]:
    """
    Return the type of each feature of a version.

    An integer that is joined from a further view is a number, as in the rows of a snapshot.
    """
    selection = specification.selection
    kinds = {}
    for name in specification.features:
        kind = KINDS[selection.columns[name].dtype]
        if kind == "long" and selection.origins[name].table != selection.spine.table:
            kind = "double"
        kinds[name] = nullable_kind(kind) if name in specification.nullable else kind
    return kinds


def column_kind(values: pd.Series[Any]) -> ColumnType:
    """
    Return the type of a column of a frame; values may be missing if some are.

    Raises
    ------
    DataError
        If no request can contain its values.
    """
    is_type = {
        "boolean": pd.api.types.is_bool_dtype,
        "long": pd.api.types.is_integer_dtype,
        "double": pd.api.types.is_float_dtype,
        "datetime": pd.api.types.is_datetime64_any_dtype,
        "string": pd.api.types.is_string_dtype,
    }
    names = [name for name, has_type in is_type.items() if has_type(values)]
    if not names and all(isinstance(value, str) for value in values.dropna()):
        names = ["string"]
    if not names:
        raise DataError(
            f"no request can contain {values.name} of type {values.dtype}. Declare it as string, integer, "
            "number, boolean or timestamp in its feature view."
        )
    kind = cast("ColumnType", names[0])
    return nullable_kind(kind) if values.isna().any() else kind


def estimator_frame(frame: pd.DataFrame, kinds: Mapping[str, ColumnType]) -> pd.DataFrame:
    """
    Return the columns `kinds` of a frame (n rows) as an estimator gets them.

    Raises
    ------
    DataError
        If values are of another type.
    """
    rows = frame[list(kinds)]
    changed = {name: rows[name] for name, kind in kinds.items() if not _is_converted(rows[name], kind)}
    return rows.assign(**{name: estimator_column(values, kinds[name]) for name, values in changed.items()})


def estimator_column(values: pd.Series[Any], kind: ColumnType) -> pd.Series[Any]:
    """
    Return a column (n,) as an estimator gets it; one with missing values is that of the nullable type.

    Raises
    ------
    DataError
        If values are of another type.
    """
    missing = values.isna()
    if base_kind(kind) == "string":
        return values.astype(object).where(~missing, None)
    if base_kind(kind) == "datetime":
        return pd.to_datetime(values, utc=True).astype(MOMENT)
    try:
        if not missing.any():
            return values.astype(DTYPES[kind])
        return values.astype(object).where(~missing, np.nan).astype(DTYPES[nullable_kind(kind)])
    except (TypeError, ValueError) as error:
        raise DataError(f"{values.name} is not of type {kind}: {error}. Correct its feature view.") from error


def require_complete(frame: pd.DataFrame, kinds: Mapping[str, ColumnType]) -> None:
    """Raise DataError if a value is missing that was never missing in training, as a request is refused."""
    missing = {name: int(frame[name].isna().sum()) for name in kinds if not may_be_missing(kinds[name])}
    listed = [f"{name} in {count} of {len(frame)} rows" for name, count in missing.items() if count]
    if listed:
        raise DataError(
            f"The model was trained without missing values of these features: {', '.join(listed)}. Fill them "
            "in the feature view, or declare the columns nullable and train a new version."
        )


def estimator_array(values: Sequence[Any], kind: ColumnType) -> Any:
    """Return checked values of a request, in which None is missing, as an estimator gets them."""
    if base_kind(kind) == "datetime":
        return pd.to_datetime(pd.Series(values, dtype=object), utc=True, format="ISO8601")
    # Looked-up values of a former package, which does not name its nullable features.
    typed = nullable_kind(kind) if None in values else kind
    return np.array(values, dtype=DTYPES[typed])


def request_values(values: pd.Series[Any], kind: ColumnType) -> list[Any]:
    """Return a column as a request in JSON holds it: booleans, integers, numbers, text or None."""
    restore = {"boolean": bool, "integer": int, "long": int}.get(base_kind(kind))
    objects = values.astype(object).where(values.notna(), None).tolist()
    if restore is None:
        return objects
    return [None if value is None else restore(value) for value in objects]


def _is_converted(values: pd.Series[Any], kind: ColumnType) -> bool:
    """Return whether a column is as an estimator gets it; text may hold NaN instead of None."""
    if str(values.dtype) != DTYPES[kind]:
        return False
    return base_kind(kind) != "string" or not values.isna().any()
