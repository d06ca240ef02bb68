"""Conversion of Arrow rows to Feast's online rows, and back; every value stays exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from include.data.feature_store.columns import join_key, names
from include.data.lake import dtypes
from include.data.lake.partition_columns import DAY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from include.declarations import FeatureView

    OnlineRow = tuple[EntityKey, dict[str, Value], datetime, datetime]

_FIELDS = {
    "string": "string_val",
    "integer": "int64_val",
    "number": "double_val",
    "boolean": "bool_val",
    "timestamp": "int64_val",
}


def to_online_rows(view: FeatureView, table: pa.Table, published_at: datetime) -> list[OnlineRow]:
    """
    Return Feast's rows of a view by ascending day: entity key, features, event time and publication time.

    Feast's own conversion goes through pandas, where an integer beside a null loses digits.
    """
    rows = table.sort_by(DAY)
    types = _types(view)
    keys = {name: _values(rows[name], types[name]) for name in view.keys}
    features = {name: _values(rows[name], types[name]) for name in names(view)}
    join_keys = [join_key(view, name) for name in view.keys]
    times = rows[view.time].to_pylist()
    online_rows = []
    for position, time in enumerate(times):
        key = EntityKey(join_keys=join_keys, entity_values=[values[position] for values in keys.values()])
        values = {name: column[position] for name, column in features.items()}
        online_rows.append((key, values, time, published_at))
    return online_rows


def lookup_table(view: FeatureView, values: Mapping[str, Sequence[Any]]) -> pa.Table:
    """Return looked-up values, by Feast's names, as a table with the view's column names and types."""
    feast_names = {name: join_key(view, name) for name in view.keys} | {name: name for name in names(view)}
    types = _types(view)
    arrays = {}
    for name, feast_name in feast_names.items():
        declared = dtypes.TYPES[types[name]]
        stored = pa.int64() if types[name] == "timestamp" else declared
        arrays[name] = pa.array(values[feast_name], type=stored).cast(declared)
    return pa.table(arrays)


def _types(view: FeatureView) -> dict[str, str]:
    return {DAY: "string"} | {column.name: column.dtype for column in view.columns}


def _values(column: pa.ChunkedArray, dtype: str) -> list[Value]:
    if dtype == "timestamp":
        column = column.cast(pa.int64())
    elif pa.types.is_floating(column.type):
        # JSON has no NaN; it means a missing number.
        column = pa.chunked_array([pa.Array.from_pandas(column.to_numpy())])
    field = _FIELDS[dtype]
    return [Value() if value is None else Value(**{field: value}) for value in column.to_pylist()]
