"""Release: pending rows are validated by today's declaration and merged into their partition if they pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from include import partitions
from include.data.lake.partition_columns import parse_partition_name
from include.data.quarantine import queue as quarantine
from include.data.quarantine.rows import ROW_ID, from_record, key_texts
from include.data.validation.batch import Batch
from include.data.validation.checks.foreign_keys import foreign_key_checks
from include.data.validation.results import FAILED, REASONS
from include.data.validation.runner import PartitionRules, validate_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from sqlalchemy import Connection

    from include.data.quarantine.queue import Quarantine, ReviewAction, RowFilter
    from include.declarations import Column
    from include.partitions import Partition

KEY_PUBLISHED = "the key ({}) is published already, with other values"
KEY_REPEATED = "the key ({}) is there more than once among the rejected rows, with other values"
UNPUBLISHED = "{} was never published: have the partition ingested first, the rows are validated with it"
TOO_MANY = "with these rows the partition would have more than {:,}"


@dataclass(frozen=True)
class Review:
    """
    Validation of the selected rows of one partition.

    Attributes
    ----------
    releasable : pandas.DataFrame
        Rows that may be published, in their declared types, with the column `_row_id`.
    retained : mapping of str to tuple of str
        By row id: the failed checks and the reasons of the other rows.
    row_keys : mapping of str to list of str
        By row id: the key of each releasable row.
    """

    releasable: pd.DataFrame = field(repr=False)
    retained: Mapping[str, tuple[str, str]]
    row_keys: Mapping[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class ReleaseResult:
    """
    Result of a release.

    Attributes
    ----------
    released : int
        Number of released rows.
    retained : mapping of str to str
        By row id: why the other rows stay in the queue.
    partitions : tuple of Partition
        Partitions that have new rows.
    """

    released: int
    retained: Mapping[str, str]
    partitions: tuple[Partition, ...]


def release_rows(queue: Quarantine, row_filter: RowFilter, action: ReviewAction) -> ReleaseResult:
    """
    Validate the selected rows by today's declaration, and merge those that pass into their partitions.

    For each partition the ledger is written first, then the dataset in one commit, then the queue. A run that
    was killed in between continues where it stopped: a row that is published already, with the same values,
    is not published again, and the ledger has its entry.

    Raises
    ------
    DataError
        If there are more rows than one decision can name in the ledger.
    """
    rows = quarantine.pending(queue, row_filter)
    quarantine.require_bounded(queue, rows)
    retained: dict[str, str] = {}
    for day, part in quarantine.by_partition(queue, rows):
        review = _review(queue, day, part)
        with queue.engine.begin() as connection:
            released_ids = _log_intent(connection, queue, day, part, review, action)
        if released_ids:
            releasable = review.releasable
            _publish(queue, day, releasable[releasable[ROW_ID].isin(released_ids)], action)
        _update_queue(queue, day, released_ids, review.retained, action)
        retained |= {row_id: reason for row_id, (_, reason) in review.retained.items()}
    released = still_released(quarantine.find_actions(queue.engine, queue.name, run=action.run))
    return ReleaseResult(
        released=sum(len(keys) for keys in released.values()),
        retained=retained,
        partitions=tuple(sorted(parse_partition_name(name) for name in released)),
    )


def still_released(entries: Iterable[dict[str, Any]]) -> dict[str, dict[str, list[str]]]:
    """Return the keys of the rows that were released and not withdrawn, by partition name and row id."""
    released: dict[str, dict[str, list[str]]] = {}
    for entry in entries:
        keys = released.setdefault(entry["partition"], {})
        if entry["action"] == "release":
            keys |= entry["keys"]
        elif entry["action"] in ("withdraw", "retain"):
            for row_id in entry["ids"]:
                keys.pop(row_id, None)
    return {name: keys for name, keys in released.items() if keys}


def contents(
    frame: pd.DataFrame, columns: Sequence[Column], names: Sequence[str] | None = None
) -> list[tuple[Any, ...]]:
    """Return the declared values of each row, or those of `names`; equal rows have equal tuples."""
    chosen = [column for column in columns if names is None or column.name in names]
    values = [_exact_values(frame[column.name], column.dtype) for column in chosen]
    return list(zip(*values, strict=True))


def _review(queue: Quarantine, day: Partition, rows: pd.DataFrame) -> Review:
    """Validate the rows by themselves, then against each other and the published partition."""
    if day not in queue.lake.partitions(queue.name):
        return _retain_all(rows, UNPUBLISHED.format(partitions.format_partition(day)))
    batch = Batch.of(from_record(rows), [day], queue.declared.calendar)
    row_checks = foreign_key_checks(queue.declared, queue.lake)
    checked = validate_rows(batch, PartitionRules.of(queue.declared), row_checks)
    if checked.missing_columns:
        return _retain_all(rows, "; ".join(f"there is no column {name}" for name in checked.missing_columns))
    errors = [result.error for result in checked.results if result.error]
    if errors:
        return _retain_all(rows, f"could not be checked: {errors[0]}")
    row_ids = rows[ROW_ID].to_numpy()
    accepted = checked.accepted.frame
    rejected = checked.rejected.frame
    retained = dict(
        zip(
            row_ids[rejected.index.to_numpy()],
            zip(rejected[FAILED], rejected[REASONS], strict=True),
            strict=True,
        )
    )
    passing = accepted.assign(**{ROW_ID: row_ids[accepted.index.to_numpy()]})
    published = queue.lake.read(queue.name, [day])
    conflicts = _key_conflicts(queue, passing, _with_shared_key(published, passing, queue.key))
    for row_id, reason in conflicts.items():
        retained[row_id] = ("expect_compound_columns_to_be_unique", reason)
    releasable = passing[~passing[ROW_ID].isin(conflicts)]
    max_rows = queue.declared.volume[1]
    if len(published) + len(releasable) > max_rows:
        return _retain_all(rows, TOO_MANY.format(max_rows))
    keys = key_texts(releasable, queue.key, queue.personal)
    return Review(releasable, retained, dict(zip(releasable[ROW_ID], keys, strict=True)))


def _retain_all(rows: pd.DataFrame, reason: str) -> Review:
    retained = {str(row_id): ("expect_table_to_be_published", reason) for row_id in rows[ROW_ID]}
    return Review(pd.DataFrame({ROW_ID: pd.Series(dtype=object)}), retained)


def _key_conflicts(queue: Quarantine, passing: pd.DataFrame, published: pd.DataFrame) -> dict[str, str]:
    """Return the reason for each row whose key belongs to another row with other values."""
    columns = queue.declared.columns
    published_keys = contents(published, columns, queue.key)
    published_rows = dict(zip(published_keys, contents(published, columns), strict=True))
    keys = contents(passing, columns, queue.key)
    rows = list(zip(passing[ROW_ID], keys, contents(passing, columns), strict=True))
    contents_by_key: dict[tuple[Any, ...], set[tuple[Any, ...]]] = {}
    for _, key, content in rows:
        contents_by_key.setdefault(key, set()).add(content)
    key_names = ", ".join(queue.key)
    conflicts = {}
    for row_id, key, content in rows:
        if published_rows.get(key, content) != content:
            conflicts[row_id] = KEY_PUBLISHED.format(key_names)
        elif len(contents_by_key[key]) > 1:
            conflicts[row_id] = KEY_REPEATED.format(key_names)
    return conflicts


def _log_intent(
    connection: Connection,
    queue: Quarantine,
    day: Partition,
    rows: pd.DataFrame,
    review: Review,
    action: ReviewAction,
) -> set[str]:
    """Record the release, or find what this run recorded before; return the ids of the rows to publish."""
    releasable = {str(row_id) for row_id in review.releasable[ROW_ID]}
    recorded = quarantine.find_action(connection, queue, "release", day, action.run)
    if recorded is not None:
        recorded_ids = set(recorded["ids"])
        retained = rows[rows[ROW_ID].isin(recorded_ids - releasable)]
        if len(retained):
            quarantine.log_action(connection, queue, "retain", day, retained, action)
        return releasable & recorded_ids
    if releasable:
        released = rows[rows[ROW_ID].isin(releasable)]
        quarantine.log_action(connection, queue, "release", day, released, action, keys=review.row_keys)
    return releasable


def _publish(queue: Quarantine, day: Partition, released: pd.DataFrame, action: ReviewAction) -> None:
    """Add the rows that are not published yet to the partition, in one commit; none if all are."""
    columns = queue.declared.columns
    content = pd.Series(contents(released, columns), index=released.index, dtype=object)
    rows = released.assign(_content=content).drop_duplicates("_content")

    def unpublished(published: pd.DataFrame) -> pd.DataFrame:
        existing = set(contents(_with_shared_key(published, released, queue.key), columns))
        is_new = [content not in existing for content in rows["_content"]]
        return rows[is_new].drop(columns=["_content", ROW_ID])

    if unpublished(queue.lake.read(queue.name, [day])).empty:
        return

    def merge(published: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([published, unpublished(published)], ignore_index=True)

    # The released rows are as the others: the code that built the partition stays the same.
    published = queue.lake.publications(queue.name).get(day)
    code = published.code if published else ""
    metadata = {"run": action.run, "released_by": action.actor, "code": code}
    queue.lake.update(queue.name, [day], merge, metadata=metadata)


def _with_shared_key(published: pd.DataFrame, rows: pd.DataFrame, key: Sequence[str]) -> pd.DataFrame:
    """Return the published rows that share the first column of the key with one of `rows`."""
    return published[published[key[0]].isin(rows[key[0]])]


def _update_queue(
    queue: Quarantine,
    day: Partition,
    released_ids: Collection[str],
    retained: Mapping[str, tuple[str, str]],
    action: ReviewAction,
) -> None:
    """Remove the released rows from the queue and write the new reasons of the others, in one commit."""

    def change(rows: pd.DataFrame) -> pd.DataFrame:
        staying = rows[~rows[ROW_ID].isin(list(released_ids))]
        records = zip(staying[ROW_ID], staying[FAILED], staying[REASONS], strict=True)
        updated = [retained.get(row_id, (failed, reasons)) for row_id, failed, reasons in records]
        return staying.assign(
            **{FAILED: [failed for failed, _ in updated], REASONS: [reasons for _, reasons in updated]}
        )

    queue.lake.update(queue.table, [day], change, metadata={"run": action.run})


def _exact_values(values: pd.Series[Any], dtype: str) -> list[Any]:
    converters: dict[str, Callable[[Any], Any]] = {
        "number": float,
        "integer": int,
        "boolean": bool,
        "string": str,
        "timestamp": _microseconds,
    }
    convert = converters[dtype]
    return [None if pd.isna(value) else convert(value) for value in values]


def _microseconds(value: Any) -> int:
    # `value` would be in nanoseconds, which end in 2262.
    return int(pd.Timestamp(value).as_unit("us").asm8.view("i8"))
