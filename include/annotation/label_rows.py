"""Where a label of a person belongs: the row and the partition of the label's dataset."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from include.annotation.landed_labels import LabelRow
from include.catalog import catalog
from include.data.lake.partition_columns import DAY
from include.data.reading.spelling import Misfit, Spelling, parse_text
from include.data.snapshots.target_encoding import encode
from include.declarations.data.columns import personal_names
from include.errors import DataError
from include.partitions import format_partition
from include.pseudonyms import MASK, PREFIX, pseudonym

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.data.lake.delta_tables import Lake
    from include.declarations import Column, Dataset, UseCase
    from include.declarations.relations.feature_selection import Spine
    from include.partitions import Partition

KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "a text",
    "timestamp": "a moment such as 2013-07-01T05:00:00Z",
}
# A number and a moment as people write them in commands and files of annotations.
PLAIN = Spelling(None, None, ".", None)


@dataclass(frozen=True, slots=True)
class Event:
    """
    What was predicted: the entity, and its day, or the moment of the event or request.

    Parameters
    ----------
    entity
        Values of the columns by which labels are joined, as text; a pseudonym for a personal one.
    """

    entity: tuple[str, ...]
    at: date | datetime


def require_label(use_case: UseCase) -> None:
    """Raise DataError if a use case has no label."""
    if use_case.label.is_absent:
        raise DataError(f"{use_case.name} detects anomalies and has no label: there is nothing to correct.")


def parse_label(use_case: UseCase, text: str) -> Any:
    """
    Return the value of a label that a person wrote, in the type of the label's column.

    Raises
    ------
    DataError
        If it is empty, has another type, or is not allowed.
    """
    dataset = catalog().datasets[use_case.label.dataset]
    column = _declared_column(dataset, use_case.label.column)
    shown = MASK if column.personal else repr(text)
    try:
        value = parse_text(text.strip(), column.dtype, PLAIN)
    except Misfit:
        value = None
    if value is None:
        raise DataError(f"{shown} is no label: {dataset.name}.{column.name} is {KINDS[column.dtype]}.")
    if column.allowed is not None and value not in column.allowed:
        allowed = ", ".join(map(str, column.allowed))
        raise DataError(f"{shown} is no label: {dataset.name}.{column.name} is one of {allowed}.")
    low = column.minimum
    high = column.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = f"at least {low}, at most {high}" if None not in {low, high} else f"limited by {low or high}"
        raise DataError(f"{shown} is no label: {dataset.name}.{column.name} is {bounds}.")
    # Raises DataError for what is no declared class.
    encode(use_case.label, pd.Series([value]))
    return value


def locate_labels(
    use_case: UseCase, lake: Lake, events: Sequence[Event], values: Sequence[Any], key: str
) -> list[LabelRow]:
    """
    Return where the labels of predicted events belong.

    With `label.time` it is the row of that time. Otherwise it is that of the event's day: the first day from
    the request on with a row or a label of the entity, else the last one before it, else the request's.

    Parameters
    ----------
    key
        Key of pseudonyms: a personal entity is looked up by its pseudonym among the rows of the lake.

    Raises
    ------
    DataError
        If an entity is personal and no row has its pseudonym, or a key has the wrong type.
    """
    spine = catalog().features_of(use_case).spine
    dataset = catalog().datasets[use_case.label.dataset]
    rows = _find_entities(use_case, lake, spine, events, key)
    located = []
    for event, value in zip(events, values, strict=True):
        entity, days = rows.get(event.entity, (None, []))
        if entity is None:
            entity = _typed_entity(dataset, spine, event)
        named = dict(zip(spine.label_keys, entity, strict=True))
        if use_case.label.time is not None:
            named[use_case.label.time] = _require_moment(event.at)
        partition = _partition_of_label(dataset, event.at, days, by_time=use_case.label.time is not None)
        located.append(LabelRow(partition, named, use_case.label.column, value))
    return located


def _partition_of_label(
    dataset: Dataset, at: date | datetime, days: list[date], *, by_time: bool
) -> Partition:
    """Return the partition of the label's dataset."""
    if dataset.whole:
        return dataset.calendar.partition_at(datetime.now(UTC))
    if by_time:
        partition = dataset.calendar.partition_at(_require_moment(at))
    else:
        day = at if not isinstance(at, datetime) else _day_of_label(at.astimezone(UTC).date(), days)
        partition = dataset.calendar.partition_of(day)
    last = dataset.last_partition
    if partition < dataset.first_partition or (last is not None and partition > last):
        until = f" to {last}" if last else " on"
        raise DataError(
            f"{dataset.name} has partitions from {dataset.first_partition}{until}, and the label belongs to "
            f"{format_partition(partition)}."
        )
    return partition


def _day_of_label(requested: date, days: list[date]) -> date:
    later = [day for day in days if day >= requested]
    if later:
        return min(later)
    return max(days) if days else requested


def _require_moment(at: date | datetime) -> datetime:
    if not isinstance(at, datetime):
        raise DataError(
            f"The label has a time, and the event names only its day {at}. Export the rows again."
        )
    return at


def _find_entities(
    use_case: UseCase, lake: Lake, spine: Spine, events: Sequence[Event], key: str
) -> dict[tuple[str, ...], tuple[tuple[Any, ...], list[date]]]:
    """Return the real entity and its days, of those events whose day or real entity is not known."""
    incomplete = {event.entity for event in events if _is_incomplete(event)}
    rows: dict[tuple[str, ...], tuple[tuple[Any, ...], list[date]]] = {}
    if not incomplete:
        return rows
    personal = set()
    for entity in incomplete:
        personal |= {name for name, text in zip(spine.label_keys, entity, strict=True) if _is_pseudonym(text)}
    for table in dict.fromkeys((spine.table, use_case.label.dataset)):
        if lake.version(table) is None:
            continue
        for batch in lake.scan(table, columns=[*spine.label_keys, DAY]):
            for row in _select_rows(batch, spine.label_keys[0], personal, incomplete).to_pylist():
                values = {name: row[name] for name in spine.label_keys}
                texts = tuple(
                    pseudonym(value, key) if name in personal else str(value)
                    for name, value in values.items()
                )
                if texts in incomplete:
                    day = date.fromisoformat(str(row[DAY]))
                    rows.setdefault(texts, (tuple(values.values()), []))[1].append(day)
    return rows


def _select_rows(
    batch: pa.RecordBatch, name: str, personal: set[str], entities: set[tuple[str, ...]]
) -> pa.RecordBatch:
    """Return the rows that may be of the entities, by their first column; of a personal one, all."""
    if name in personal:
        return batch
    first_keys = pa.array([entity[0] for entity in entities], pa.string())
    return batch.filter(pc.is_in(batch.column(name).cast("string"), value_set=first_keys))


def _is_pseudonym(text: str) -> bool:
    return text.startswith(PREFIX)


def _is_incomplete(event: Event) -> bool:
    return isinstance(event.at, datetime) or any(map(_is_pseudonym, event.entity))


def _typed_entity(dataset: Dataset, spine: Spine, event: Event) -> tuple[Any, ...]:
    """Return an entity that no row of the lake has, in the types of the label's dataset."""
    if any(map(_is_pseudonym, event.entity)):
        raise DataError(
            f"The entity is personal, and no row of {spine.table} or {dataset.name} has its pseudonym: "
            "it was erased, or the key of pseudonyms has changed."
        )
    values = []
    for name, text in zip(spine.label_keys, event.entity, strict=True):
        column = _declared_column(dataset, name)
        shown = MASK if name in personal_names(dataset.columns) else repr(text)
        try:
            values.append(parse_text(text, column.dtype, PLAIN))
        except Misfit as error:
            raise DataError(f"{name} {shown} is not {KINDS[column.dtype]}.") from error
    return tuple(values)


def _declared_column(dataset: Dataset, name: str) -> Column:
    return next(column for column in dataset.columns if column.name == name)
