"""Landing files of a new model: its rows and labels in one file a day, or the whole file."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pandas as pd

from include.partitions import format_partition
from include.storage import filesystem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.scaffold.columns import InferredColumn
    from include.scaffold.plan import ModelPlan


def landing_files(plan: ModelPlan) -> Iterator[tuple[str, bytes]]:
    """Yield path below the landing folder and content of each file; a day without rows is a file, too."""
    suffix = plan.table.format
    if plan.copies_file and plan.table.path is not None:
        yield f"{plan.dataset}.{suffix}", plan.table.path.read_bytes()
        return
    rows = _frame(list(plan.columns.values()), suffix)
    if plan.days is None:
        yield f"{plan.dataset}.{suffix}", _encoded(rows, suffix)
        return
    labels = _frame([plan.columns[plan.key], plan.label], suffix)
    names = plan.days.dt.strftime("%Y-%m-%d")
    for dataset, frame in ((plan.outcomes, labels), (plan.dataset, rows)):
        parts = dict(iter(frame.groupby(names)))
        for day in plan.calendar_days:
            name = format_partition(day)
            yield f"{dataset}/{name}.{suffix}", _encoded(parts.get(name, frame.iloc[:0]), suffix)


def write_landing_files(plan: ModelPlan, landing_uri: str) -> int:
    """Write the landing files and return their number; a file that is there is replaced."""
    files = filesystem.open_filesystem(landing_uri, {})
    n_files = 0
    for path, content in landing_files(plan):
        filesystem.write_file(files, path, content)
        n_files += 1
    return n_files


def _frame(columns: Sequence[InferredColumn], suffix: str) -> pd.DataFrame:
    return pd.DataFrame({column.name: _written(column, suffix) for column in columns})


def _written(column: InferredColumn, suffix: str) -> pd.Series[Any]:
    """Return the values as they are written: in CSV, moments and truth values as the reader takes them."""
    if suffix != "csv":
        return column.values
    if column.dtype == "timestamp":
        return pd.Series(column.values.dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    if column.dtype == "boolean":
        return column.values.map({True: "true", False: "false"})
    return column.values


def _encoded(frame: pd.DataFrame, suffix: str) -> bytes:
    if suffix == "csv":
        return frame.to_csv(index=False).encode()
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()
