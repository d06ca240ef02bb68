"""Encoder of a compiled twin, from the fitted preprocessing steps of a scikit-learn pipeline."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.errors import AirworthyError
from include.feature_values import base_kind, estimator_array, may_be_missing
from include.inference.twin.encoder import CategoryColumn, Encoder, NumberColumn

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from include.feature_values import ColumnType
    from include.inference.twin.encoder import Column, Encoded

UNSEEN_TEXT = "\x7funseen"
# Transformers of categories, by name: the twin has a table of what they return.
CATEGORY_STEPS = frozenset({"OrdinalEncoder", "OneHotEncoder", "TargetEncoder"})
# Operations of scalers, and the attributes with their operands.
_SCALERS = {
    "StandardScaler": {"subtract": "mean_", "divide": "scale_"},
    "RobustScaler": {"subtract": "center_", "divide": "scale_"},
    "MaxAbsScaler": {"divide": "scale_"},
    "MinMaxScaler": {"multiply": "scale_", "add": "min_"},
}
Steps = tuple[tuple[str, float], ...]


class NoTwin(AirworthyError):
    """The reason why a model has no compiled twin."""


def compile_encoder(steps: Sequence[Any], kinds: Mapping[str, ColumnType], *, is_single: bool) -> Encoder:
    """
    Return the encoder that does what fitted transformers do.

    Parameters
    ----------
    steps
        Fitted transformers, the first of which may be a ColumnTransformer.
    kinds
        Type of each feature, in the order in which the transformers get them.
    is_single
        Whether the estimator rounds its input to single precision.

    Raises
    ------
    NoTwin
        If a transformer has no equivalent.
    """
    rest = list(steps)
    columns: list[Column] = []
    if rest and type(rest[0]).__name__ == "ColumnTransformer":
        first = rest.pop(0)
        for _, transformer, selected in first.transformers_:
            if transformer is not None and not (isinstance(transformer, str) and transformer == "drop"):
                names = _selected_names(selected, list(kinds))
                columns += _encode_block(_flatten(transformer), names, kinds)
    else:
        columns += _encode_block([], list(kinds), kinds)
    for step in rest:
        columns = _append_steps(columns, step)
    return Encoder(tuple(columns), is_single)


def _selected_names(selected: Any, names: list[str]) -> list[str]:
    """Return the names of the columns that a ColumnTransformer selected by names, positions or a mask."""
    if isinstance(selected, str):
        return [selected]
    if isinstance(selected, slice):
        raise NoTwin("columns are selected by a slice")
    values = list(selected)
    if all(isinstance(value, bool | np.bool_) for value in values):
        return [name for name, chosen in zip(names, values, strict=True) if chosen]
    return [value if isinstance(value, str) else names[int(value)] for value in values]


def _flatten(transformer: Any) -> list[Any]:
    """Return the steps of a transformer, which may be a pipeline or `passthrough`."""
    if isinstance(transformer, str):
        return []
    if type(transformer).__name__ == "Pipeline":
        return list(chain.from_iterable(_flatten(step) for _, step in transformer.steps))
    return [transformer]


def _encode_block(transformers: list[Any], names: list[str], kinds: Mapping[str, ColumnType]) -> list[Column]:
    """Return the columns that transformers of one block of a ColumnTransformer make."""
    if any(type(transformer).__name__ in CATEGORY_STEPS for transformer in transformers):
        return _category_columns(transformers, names, kinds)
    unsupported = [name for name in names if base_kind(kinds[name]) in {"string", "datetime"}]
    if unsupported:
        raise NoTwin(f"{', '.join(unsupported)} reach the estimator as text or times")
    columns: list[Column] = [NumberColumn(name, (), base_kind(kinds[name]) == "float") for name in names]
    for transformer in transformers:
        columns = _append_steps(columns, transformer)
    return columns


def _append_steps(columns: Sequence[Column], transformer: Any) -> list[Column]:
    """Return the columns after a transformer that changes each of them by arithmetic."""
    all_steps = _arithmetic(transformer, len(columns))
    changed: list[Column] = []
    for column, steps in zip(columns, all_steps, strict=True):
        if steps and not isinstance(column, NumberColumn):
            raise NoTwin(f"{type(transformer).__name__} follows an encoder of categories")
        if isinstance(column, NumberColumn):
            changed.append(NumberColumn(column.name, column.steps + steps, column.is_single))
        else:
            changed.append(column)
    return changed


def _arithmetic(transformer: Any, n_columns: int) -> list[Steps]:
    """Return what a transformer does with each column."""
    name = type(transformer).__name__
    if not type(transformer).__module__.startswith("sklearn."):
        raise NoTwin(f"{name} is no transformer of scikit-learn")
    if name == "FunctionTransformer" and transformer.func is None:
        return [()] * n_columns
    if name == "SimpleImputer" and not transformer.add_indicator and pd.isna(transformer.missing_values):
        if np.isnan(np.asarray(transformer.statistics_, dtype=np.float64)).any():
            raise NoTwin("SimpleImputer drops a column without values")
        return [(("fill", float(value)),) for value in transformer.statistics_]
    if name not in _SCALERS or getattr(transformer, "clip", False):
        raise NoTwin(f"{name} has no equivalent")
    operands = {operation: getattr(transformer, attribute) for operation, attribute in _SCALERS[name].items()}
    return _column_steps(n_columns, **operands)


def _column_steps(n_columns: int, **operations: Any) -> list[Steps]:
    """Return one operation after another for each column; an array that is None means no operation."""
    steps: list[Steps] = [()] * n_columns
    for operation, operands in operations.items():
        if operands is not None:
            pairs = zip(steps, operands, strict=True)
            steps = [(*before, (operation, float(operand))) for before, operand in pairs]
    return steps


def _category_columns(
    transformers: list[Any], names: list[str], kinds: Mapping[str, ColumnType]
) -> list[Column]:
    """Return a table for each column, of what the transformers return for each of its categories."""
    encoder = next(part for part in transformers if type(part).__name__ in CATEGORY_STEPS)
    categories = [_present_values(column) for column in encoder.categories_]
    if not all(categories):
        raise NoTwin("a column has no categories")
    default = {name: values[0] for name, values in zip(names, categories, strict=True)}
    typed = {name: kinds[name] for name in names}
    width = _transform(transformers, [default], typed).shape[1]
    is_one_hot = type(encoder).__name__ == "OneHotEncoder"
    # scikit-learn has no public name for it.
    widths = encoder._n_features_outs if is_one_hot else [width // len(names)] * len(names)
    columns: list[Column] = []
    start = 0
    for name, values, size in zip(names, categories, widths, strict=True):
        part = slice(start, start + int(size))
        start += int(size)
        columns.append(_category_column(transformers, default, typed, (name, values, part)))
    return columns


def _category_column(
    transformers: list[Any],
    default: Mapping[str, Any],
    kinds: Mapping[str, ColumnType],
    column: tuple[str, list[Any], slice],
) -> CategoryColumn:
    """Return the table of one column: the others have their default values."""
    name, values, part = column
    matrix = _transform(transformers, [{**default, name: value} for value in values], kinds)[:, part]
    table = {value: tuple(row) for value, row in zip(values, matrix.tolist(), strict=True)}

    def encoded(value: Any) -> Encoded | None:
        try:
            return tuple(_transform(transformers, [{**default, name: value}], kinds)[0, part].tolist())
        # What a transformer refuses, the estimator is asked for.
        except (ValueError, TypeError):
            return None

    missing = encoded(None) if may_be_missing(kinds[name]) else None
    unseen = _unseen_value(values, kinds[name])
    unknown = None if unseen is None else encoded(unseen)
    return CategoryColumn(name, table, unknown, missing, matrix.shape[1])


def _transform(
    transformers: Iterable[Any], rows: list[dict[str, Any]], kinds: Mapping[str, ColumnType]
) -> Any:
    """Return what transformers make of some rows, as a dense float64 matrix."""
    values = pd.DataFrame(rows, dtype=object)
    data: Any = pd.DataFrame(
        {name: estimator_array(_none_for_missing(values[name]), kind) for name, kind in kinds.items()}
    )
    for transformer in transformers:
        data = transformer.transform(data)
    if hasattr(data, "toarray"):
        data = data.toarray()
    return np.asarray(data, dtype=np.float64)


def _unseen_value(values: list[Any], kind: ColumnType) -> Any:
    """Return a value that is none of the categories; None if there is none."""
    if base_kind(kind) == "string":
        return UNSEEN_TEXT
    if base_kind(kind) == "boolean":
        return next((value for value in (True, False) if value not in values), None)
    return max(values) + 1


def _present_values(values: Iterable[Any]) -> list[Any]:
    """Return the values that are not missing, as values of Python."""
    present = (value for value in values if not pd.isna(value))
    return [value.item() if isinstance(value, np.generic) else value for value in present]


def _none_for_missing(values: pd.Series[Any]) -> list[Any]:
    return [None if pd.isna(value) else value for value in values]
