"""Inferred columns: the type of each column of a table, its values in that type, and bounds with slack."""

from __future__ import annotations

import datetime
import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from include.scaffold.tables import is_text

if TYPE_CHECKING:
    from include.scaffold.tables import SourceTable

Dtype = Literal["string", "integer", "number", "boolean", "timestamp"]

# A number with leading zeros is a code, such as that of a town.
INTEGER = re.compile(r"[+-]?(0|[1-9]\d{0,17})")
NUMBER = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
TIME_FORMATS = (
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M",
    "%Y-%m-%dT%H", "%Y-%m-%d %H", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f",
    "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%f%z", "%Y/%m/%d", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S",
    "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d/%m/%Y", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%Y%m%d",
)  # fmt: skip
MAX_CATEGORIES = 12
MIN_ROWS_PER_CATEGORY = 5
MAX_FLAG_VALUES = 2
SLACK = 0.25


@dataclass(frozen=True)
class InferredColumn:
    """
    One column: its name, type and values in this type.

    `minimum` and `maximum` are bounds with slack, `allowed` the values of a text with few of them.
    """

    name: str
    dtype: Dtype
    values: pd.Series[Any]
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()

    @property
    def nullable(self) -> bool:
        """Whether some rows have no value."""
        return bool(self.values.isna().any())

    @property
    def n_values(self) -> int:
        """Number of distinct values."""
        return int(self.values.nunique())


def infer_columns(table: SourceTable) -> tuple[dict[str, InferredColumn], tuple[str, ...]]:
    """Return the columns by name, and the names of those that no declaration can hold or that are null."""
    columns: dict[str, InferredColumn] = {}
    unusable: list[str] = []
    for name in map(str, table.frame.columns):
        values = table.frame[name]
        column = None if values.isna().all() else infer_column(name, values, decimal=table.decimal)
        if column is None:
            unusable.append(name)
        else:
            columns[name] = column
    return columns, tuple(unusable)


def infer_column(name: str, values: pd.Series[Any], *, decimal: str = ".") -> InferredColumn | None:
    """Return what a column holds; None if it is nothing that a declaration can hold."""
    typed = _typed_text(values, decimal) if is_text(values) else _typed_values(values)
    if typed is None:
        return None
    dtype, converted = typed
    if dtype in {"integer", "number"}:
        low, high = bounds_with_slack(converted, whole=dtype == "integer")
        return InferredColumn(name, dtype, converted, low, high)
    allowed = _categories(converted) if dtype == "string" else ()
    return InferredColumn(name, dtype, converted, allowed=allowed)


def bounds_with_slack(values: pd.Series[Any], *, whole: bool) -> tuple[float, float]:
    """Return the least and the greatest value, wider by a quarter of the span; 0 stays a bound."""
    low = float(values.min())
    high = float(values.max())
    # Two values, such as 0 and 1, are all that there are.
    if whole and values.nunique() <= MAX_FLAG_VALUES:
        return int(low), int(high)
    slack = SLACK * (high - low) or max(abs(high), 1.0)
    lower = 0.0 if low >= 0 and low - slack < 0 else low - slack
    upper = 0.0 if high <= 0 and high + slack > 0 else high + slack
    if whole:
        return math.floor(lower), math.ceil(upper)
    return _rounded(lower, slack, math.floor), _rounded(upper, slack, math.ceil)


def parse_times(values: pd.Series[Any]) -> pd.Series[Any] | None:
    """Return texts, days or moments as moments in UTC, read as UTC where they have no zone; else None."""
    present = values.dropna()
    if isinstance(values.dtype, pd.DatetimeTZDtype) or pd.api.types.is_datetime64_dtype(values.dtype):
        return pd.to_datetime(values, utc=True)
    if present.map(lambda value: isinstance(value, datetime.date)).all():
        return pd.to_datetime(values, utc=True)
    if not is_text(values):
        return None
    for time_format in TIME_FORMATS:
        # Most formats do not fit, as a look at a few values shows.
        if pd.to_datetime(present.head(20), format=time_format, errors="coerce", utc=True).isna().any():
            continue
        parsed = pd.to_datetime(values, format=time_format, errors="coerce", utc=True)
        if int(parsed.notna().sum()) == len(present):
            return parsed
    return None


def _typed_text(values: pd.Series[Any], decimal: str) -> tuple[Dtype, pd.Series[Any]]:
    present = values.dropna().str.strip()
    plain = present.str.replace(decimal, ".", regex=False) if decimal != "." else present
    if present.map(lambda text: INTEGER.fullmatch(text) is not None).all():
        return "integer", _integers(present.map(int), values.index)
    if plain.map(lambda text: NUMBER.fullmatch(text) is not None).all():
        return "number", plain.astype(float).reindex(values.index)
    if present.str.lower().isin(["true", "false"]).all():
        truths = present.str.lower().eq("true").reindex(values.index)
        return "boolean", truths.astype("boolean")
    moments = parse_times(values)
    if moments is not None:
        return "timestamp", moments
    return "string", values


def _typed_values(values: pd.Series[Any]) -> tuple[Dtype, pd.Series[Any]] | None:
    if pd.api.types.is_bool_dtype(values.dtype):
        return "boolean", values.astype("boolean")
    if pd.api.types.is_integer_dtype(values.dtype):
        return "integer", _integers(values.dropna(), values.index)
    if pd.api.types.is_float_dtype(values.dtype):
        finite = values.astype(float).replace([np.inf, -np.inf], np.nan)
        return "number", finite
    if isinstance(values.dtype, pd.CategoricalDtype):
        return _typed_values(values.astype(object))
    return ("string", values) if is_text(values) else _typed_objects(values)


def _typed_objects(values: pd.Series[Any]) -> tuple[Dtype, pd.Series[Any]] | None:
    present = values.dropna()
    if present.map(lambda value: isinstance(value, bool)).all():
        return "boolean", values.astype("boolean")
    if present.map(lambda value: isinstance(value, int)).all():
        return "integer", _integers(present, values.index)
    if present.map(lambda value: isinstance(value, int | float | Decimal)).all():
        return "number", values.astype(float)
    moments = parse_times(values)
    return None if moments is None else ("timestamp", moments)


def _integers(present: pd.Series[Any], index: pd.Index[Any]) -> pd.Series[Any]:
    return present.astype("Int64").reindex(index)


def _rounded(bound: float, slack: float, toward: Any) -> float:
    """Return a bound with two digits of the slack's size, so that people can read it."""
    digits = 1 - math.floor(math.log10(slack))
    # Without the noise of the last bits, which would move a bound by a whole digit.
    scaled = round(bound * 10**digits, 6)
    return float(round(toward(scaled) / 10**digits, max(digits, 0)))


def _categories(values: pd.Series[Any]) -> tuple[str, ...]:
    counts = values.value_counts()
    if len(counts) > MAX_CATEGORIES or counts.min() < MIN_ROWS_PER_CATEGORY:
        return ()
    return tuple(sorted(map(str, counts.index)))
