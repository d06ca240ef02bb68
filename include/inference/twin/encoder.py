"""Encoder of a compiled twin: tables and arithmetic that turn columns of a request into a matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt

# A category or a missing value that the estimator refuses.
REFUSED = None
Encoded = tuple[float, ...]


class TwinRefusal(Exception):
    """Rows that a compiled twin does not answer, so that the estimator is asked."""


@dataclass(frozen=True, slots=True)
class CategoryColumn:
    """
    A column whose values are looked up in a table; each has `width` numbers.

    `unknown` and `missing` are the numbers of values that are not in the table; None if they are refused.
    """

    name: str
    table: dict[Any, Encoded]
    unknown: Encoded | None
    missing: Encoded | None
    width: int

    def encode(self, values: Sequence[Any]) -> list[Encoded]:
        """Return the numbers of each value."""
        table = self.table
        rows = []
        for value in values:
            # NaN is not equal to itself.
            is_missing = value is None or value != value
            encoded = self.missing if is_missing else table.get(value, self.unknown)
            if encoded is None:
                raise TwinRefusal(f"{self.name} has a value that the estimator may refuse")
            rows.append(encoded)
        return rows


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """A column of numbers, changed by `steps`: pairs of `fill`, `add`, `subtract`, … and a number."""

    name: str
    steps: tuple[tuple[str, float], ...] = ()
    # Whether the estimator gets the column in single precision.
    is_single: bool = False

    def encode(self, values: Sequence[Any]) -> npt.NDArray[np.float64]:
        """Return the values as float64, shape (n,); missing ones are NaN."""
        numbers = np.array(values, dtype=np.float64)
        if self.is_single:
            numbers = numbers.astype(np.float32).astype(np.float64)
        for operation, operand in self.steps:
            numbers = _OPERATIONS[operation](numbers, operand)
        return numbers


Column = CategoryColumn | NumberColumn


@dataclass(frozen=True, slots=True)
class Encoder:
    """
    The columns of the matrix that the final estimator gets, in their order.

    `is_single` says whether the estimator rounds the matrix to single precision, and refuses what does not
    fit into it.
    """

    columns: tuple[Column, ...]
    is_single: bool = False

    def encode(self, columns: Mapping[str, Sequence[Any]], n_rows: int) -> npt.NDArray[np.float64]:
        """
        Return the matrix of some rows, float64 of shape (n_rows, n_columns).

        Raises
        ------
        TwinRefusal
            If the estimator may refuse a value.
        """
        return self.assemble([column.encode(columns[column.name]) for column in self.columns], n_rows)

    @property
    def width(self) -> int:
        """Number of columns of the matrix."""
        return sum(_width(column) for column in self.columns)

    def assemble(self, encoded: Sequence[Any], n_rows: int) -> npt.NDArray[np.float64]:
        """
        Return the matrix of encoded columns, float64 of shape (n_rows, width).

        Raises
        ------
        TwinRefusal
            If a number does not fit into single precision, where the estimator needs it.
        """
        matrix = np.empty((n_rows, self.width))
        position = 0
        for column, values in zip(self.columns, encoded, strict=True):
            end = position + _width(column)
            matrix[:, position:end] = np.reshape(values, (n_rows, end - position))
            position = end
        if not self.is_single:
            return matrix
        with np.errstate(over="ignore"):
            rounded = matrix.astype(np.float32).astype(np.float64)
        if np.isinf(rounded).any():
            raise TwinRefusal("a number does not fit into single precision")
        return rounded

    def to_json(self) -> dict[str, Any]:
        """Return the encoder as plain values."""
        return {"is_single": self.is_single, "columns": [_describe_column(column) for column in self.columns]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Encoder:
        """Return the encoder that `to_json` described."""
        return cls(tuple(map(_read_column, content["columns"])), content["is_single"])


def _width(column: Column) -> int:
    return column.width if isinstance(column, CategoryColumn) else 1


def _describe_column(column: Column) -> dict[str, Any]:
    if isinstance(column, NumberColumn):
        return {"name": column.name, "steps": column.steps, "is_single": column.is_single}
    return {
        "name": column.name,
        "table": [[value, encoded] for value, encoded in column.table.items()],
        "unknown": column.unknown,
        "missing": column.missing,
        "width": column.width,
    }


def _read_column(content: Mapping[str, Any]) -> Column:
    if "table" not in content:
        return NumberColumn(content["name"], _read_steps(content["steps"]), content["is_single"])
    return CategoryColumn(
        content["name"],
        {value: tuple(encoded) for value, encoded in content["table"]},
        _optional_tuple(content["unknown"]),
        _optional_tuple(content["missing"]),
        content["width"],
    )


def _read_steps(steps: Iterable[Sequence[Any]]) -> tuple[tuple[str, float], ...]:
    return tuple((str(operation), float(operand)) for operation, operand in steps)


def _optional_tuple(values: Sequence[float] | None) -> Encoded | None:
    return None if values is None else tuple(values)


def _fill_missing(numbers: npt.NDArray[np.float64], value: float) -> npt.NDArray[np.float64]:
    return np.where(np.isnan(numbers), value, numbers)


_OPERATIONS: dict[str, Any] = {
    "fill": _fill_missing,
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
}
