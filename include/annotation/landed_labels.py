"""Labels in the landed files of a dataset: rows are replaced by their key, and added."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from include.annotation.row_files import parse_rows, render_rows
from include.data.reading.spelling import Misfit
from include.data.reading.values import convert
from include.data.sources.files import file_source, landing_path
from include.data.sources.formats import Layout, Unreadable
from include.declarations.data.columns import shown_value
from include.errors import DataError
from include.storage import filesystem
from include.storage.errors import translate_storage_errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyarrow.fs import FileSystem

    from include.annotation.row_files import Row
    from include.declarations import Dataset
    from include.partitions import Partition


@dataclass(frozen=True, slots=True)
class LabelRow:
    """
    A label of a person: `value` of `column` in the row of a dataset with this `key`.

    Parameters
    ----------
    partition
        Partition of the dataset that the row belongs to.
    key
        Values of the columns that identify the row.
    """

    partition: Partition
    key: Mapping[str, Any]
    column: str
    value: Any


@dataclass(frozen=True, slots=True)
class LandingFolder:
    """Address of the folder or bucket in which files land, with the options of the object store."""

    uri: str
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class LabelChange:
    """A label that differs from what the file had before; `before` is None for a new row, too."""

    row: LabelRow
    before: Any


@dataclass(frozen=True, slots=True)
class PlannedFiles:
    """New content of files, by path, and the labels that change with them."""

    contents: Mapping[str, bytes] = field(repr=False)
    changes: tuple[LabelChange, ...]


def plan_labels(dataset: Dataset, rows: Sequence[LabelRow], landing: LandingFolder) -> PlannedFiles:
    """
    Return the files of a dataset with these labels; nothing is written, and other values stay.

    Raises
    ------
    DataError
        If the dataset has no files, a file cannot be read, several of its rows have the key, or a new row
        lacks a value that the dataset needs.
    """
    layout = Layout(dataset.columns, file_source(dataset))
    by_path: dict[str, list[LabelRow]] = {}
    for row in rows:
        by_path.setdefault(landing_path(dataset, row.partition), []).append(row)
    contents = {}
    changes: list[LabelChange] = []
    with translate_storage_errors(landing.uri, landing.storage_options):
        files = filesystem.open_filesystem(landing.uri, landing.storage_options)
        for path, labels in by_path.items():
            content = _content_of(files, path)
            try:
                header, existing = parse_rows(content, path, layout)
            except Unreadable as error:
                raise DataError(f"{landing.uri.rstrip('/')}/{path} {error}. Have it sent again.") from error
            merged, changed = _merge_labels(dataset, layout, existing, labels)
            if changed:
                contents[path] = render_rows(header, merged, path, layout, content)
                changes += changed
    return PlannedFiles(contents, tuple(changes))


def write_files(planned: PlannedFiles, landing: LandingFolder) -> None:
    """Replace the planned files, each in one step."""
    with translate_storage_errors(landing.uri, landing.storage_options):
        files = filesystem.open_filesystem(landing.uri, landing.storage_options)
        for path, content in planned.contents.items():
            filesystem.write_file(files, path, content)


def _content_of(files: FileSystem, path: str) -> bytes | None:
    """Return the content of a file; None if it has not landed."""
    if filesystem.find_missing(files, [path]):
        return None
    with files.open_input_stream(path, compression=None) as stream:
        return bytes(stream.read())


def _merge_labels(
    dataset: Dataset, layout: Layout, existing: list[Row], labels: list[LabelRow]
) -> tuple[list[Row], list[LabelChange]]:
    """Return the rows with the labels, and which of these are new or differ."""
    positions = _positions(layout, existing, list(labels[0].key))
    rows = list(existing)
    changes = []
    for label in labels:
        matching = positions.get(tuple(label.key.values()), [])
        if len(matching) > 1:
            raise DataError(f"{dataset.name}: {_shown_key(dataset, label)} has {len(matching)} rows.")
        if not matching:
            positions[tuple(label.key.values())] = [len(rows)]
            rows.append(_new_row(dataset, label))
            changes.append(LabelChange(label, None))
            continue
        position = matching[0]
        before = _typed_value(layout, rows[position], label.column)
        if before != label.value:
            rows[position] = rows[position] | {label.column: label.value}
            changes.append(LabelChange(label, before))
    return rows, changes


def _positions(layout: Layout, rows: list[Row], key: list[str]) -> dict[tuple[Any, ...], list[int]]:
    positions: dict[tuple[Any, ...], list[int]] = {}
    for position, row in enumerate(rows):
        values = tuple(_typed_value(layout, row, name) for name in key)
        positions.setdefault(values, []).append(position)
    return positions


def _typed_value(layout: Layout, row: Row, name: str) -> Any:
    """Return a value of a row in its declared type; the text as it is written if it does not fit."""
    raw = row.get(name)
    dtype = next(column.dtype for column in layout.columns if column.name == name)
    if raw in layout.source.nulls:
        return None
    try:
        return convert(raw, dtype, layout.spelling)
    except Misfit:
        return raw


def _new_row(dataset: Dataset, label: LabelRow) -> dict[str, Any]:
    row: dict[str, Any] = {column.name: None for column in dataset.columns}
    row |= {**label.key, label.column: label.value}
    if dataset.known_at and row[dataset.known_at] is None:
        row[dataset.known_at] = datetime.now(UTC).replace(microsecond=0)
    split_by = file_source(dataset).split_by
    if split_by is not None and row[split_by] is None:
        is_moment = any(column.name == split_by and column.dtype == "timestamp" for column in dataset.columns)
        start = dataset.calendar.start_of(label.partition)
        row[split_by] = start if is_moment else str(label.partition)
    missing = [column.name for column in dataset.columns if not column.nullable and row[column.name] is None]
    if missing:
        raise DataError(
            f"{dataset.name}: there is no row of {_shown_key(dataset, label)} in partition "
            f"{label.partition}, and a new one needs {', '.join(missing)}. Declare them nullable, or wait "
            "until the row has landed."
        )
    return row


def _shown_key(dataset: Dataset, label: LabelRow) -> str:
    return ", ".join(
        f"{name} {shown_value(dataset.columns, name, value)}" for name, value in label.key.items()
    )
