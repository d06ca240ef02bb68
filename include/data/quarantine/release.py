"""A refused row's second hearing: judged by today's declaration, merged into its partition if it passes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from include import partitions
from include.data.lake import partition_columns
from include.data.quarantine import queue as quarantine
from include.data.quarantine import rows as refused
from include.data.quarantine.rows import ROW_ID
from include.data.validation.batch import Batch
from include.data.validation.row_checks import FAILED, REASONS
from include.data.validation.runner import validate_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from sqlalchemy import Connection

    from include.data.quarantine.queue import Quarantine, ReviewAction, RowFilter
    from include.declarations import Column
    from include.partitions import Partition

TWICE = "the key ({}) is published already, with other values"
AMONG = "the key ({}) is there more than once among the refused rows, with other values"
UNPUBLISHED = "{} was never published: have the partition ingested first, the rows are judged with it"
TOO_MANY = "with these rows the partition would have more than {:,}"


@dataclass(frozen=True)
class Review:
    """What became of the chosen rows of one partition: those that are clear, and of the others, why not."""

    releasable: pd.DataFrame = field(repr=False)  # typed, with `_row_id`
    kept: dict[str, tuple[str, str]]  # by row id: what it failed, and why
    row_keys: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class ReleaseResult:
    """How many rows were released, why the others were not, and which partitions have new rows."""

    released: int
    kept: dict[str, str]
    partitions: tuple[Partition, ...]


def release(queue: Quarantine, choice: RowFilter, decision: ReviewAction) -> ReleaseResult:
    """
    Judge the chosen rows by today's declaration, and merge those that pass into their partitions.

    For each partition: first the ledger, then one commit to the dataset, then the rows leave the queue. A run
    that was killed in between goes on where it stopped: a row that is published already, exactly as it is,
    is not published twice, and the ledger has its entry.

    :raises DataError: if there are more rows than one decision can name
    """
    rows = quarantine.pending(queue, choice)
    kept: dict[str, str] = {}
    quarantine.require_bounded(queue, rows)
    for day, part in quarantine.by_partition(queue, rows):
        hearing = _review(queue, day, part)
        with queue.engine.begin() as connection:
            clear = _log_intent(connection, queue, day, part, hearing, decision)
        if clear:
            _publish(queue, day, hearing.releasable[hearing.releasable[ROW_ID].isin(clear)], decision)
        _update_queue(queue, day, clear, hearing.kept, decision)
        kept |= {one: reason for one, (_, reason) in hearing.kept.items()}
    done = still_released(quarantine.find_actions(queue.engine, queue.name, run=decision.run))
    return ReleaseResult(
        released=sum(len(found) for found in done.values()),
        kept=kept,
        partitions=tuple(sorted(partition_columns.parse_partition_name(name) for name in done)),
    )


def still_released(entries: Iterable[dict[str, Any]]) -> dict[str, dict[str, list[str]]]:
    """Return the keys of the rows that were released and are not withdrawn, by partition and row id."""
    found: dict[str, dict[str, list[str]]] = {}
    for entry in entries:
        there = found.setdefault(entry["partition"], {})
        if entry["action"] == "release":
            there |= entry["keys"]
        elif entry["action"] in ("withdraw", "retain"):
            for one in entry["ids"]:
                there.pop(one, None)
    return {name: keys for name, keys in found.items() if keys}


def _review(queue: Quarantine, day: Partition, rows: pd.DataFrame) -> Review:
    """Judge the rows by themselves, then against each other and the published partition."""
    if day not in queue.lake.partitions(queue.name):
        return _none(rows, UNPUBLISHED.format(partitions.format_partition(day)))
    declared, key = queue.declared, list(queue.key)
    judged = validate_rows(Batch.of(refused.from_record(rows), [day]), declared.columns, key)
    if not judged.has_all_columns:
        lacking = [c.name for c in declared.columns if c.name not in judged.accepted.frame.columns]
        return _none(rows, "; ".join(f"there is no column {name}" for name in lacking))
    if unchecked := [result.error for result in judged.results if result.error]:
        return _none(rows, f"could not be checked: {unchecked[0]}")
    ids = rows[ROW_ID].to_numpy()
    accepted = judged.accepted.frame
    clear = accepted.assign(**{ROW_ID: ids[accepted.index]})
    mended = judged.rejected.frame
    kept = {
        one: (failed, why)
        for one, failed, why in zip(ids[mended.index], mended[FAILED], mended[REASONS], strict=True)
    }
    published = queue.lake.read(queue.name, [day])
    clashing = _clashes(queue, clear, _alike(published, clear, key))
    kept |= {one: ("expect_compound_columns_to_be_unique", why) for one, why in clashing.items()}
    clear = clear[~clear[ROW_ID].isin(clashing)]
    most = declared.volume[1]
    if len(published) + len(clear) > most:
        return _none(rows, TOO_MANY.format(most))
    keys = dict(zip(clear[ROW_ID], clear[key].astype(str).to_numpy().tolist(), strict=True))
    return Review(clear, kept, keys)


def _none(rows: pd.DataFrame, why: str) -> Review:
    kept = {str(one): ("expect_table_to_be_published", why) for one in rows[ROW_ID]}
    return Review(pd.DataFrame({ROW_ID: pd.Series(dtype=object)}), kept)


def _clashes(queue: Quarantine, clear: pd.DataFrame, published: pd.DataFrame) -> dict[str, str]:
    """Return which rows have the key of another row without being equal to it, and why that is too much."""
    key, columns = list(queue.key), queue.declared.columns
    there = dict(zip(contents(published, columns, key), contents(published, columns), strict=True))
    own: dict[tuple[Any, ...], set[tuple[Any, ...]]] = {}
    told = list(zip(clear[ROW_ID], contents(clear, columns, key), contents(clear, columns), strict=True))
    for _, name, content in told:
        own.setdefault(name, set()).add(content)
    spoken, found = ", ".join(key), {}
    for one, name, content in told:
        if there.get(name, content) != content:
            found[one] = TWICE.format(spoken)
        elif len(own[name]) > 1:
            found[one] = AMONG.format(spoken)
    return found


def _log_intent(
    connection: Connection,
    queue: Quarantine,
    day: Partition,
    rows: pd.DataFrame,
    hearing: Review,
    decision: ReviewAction,
) -> set[str]:
    """Write the release down, or find what this run wrote down before; return the ids that may leave."""
    clear = {str(one) for one in hearing.releasable[ROW_ID]}
    if (written := quarantine.find_action(connection, queue, "release", day, decision.run)) is not None:
        undone = rows[rows[ROW_ID].isin(set(written["ids"]) - clear)]
        if len(undone):
            quarantine.log_action(connection, queue, "retain", day, undone, decision)
        return clear & set(written["ids"])
    if clear:
        quarantine.log_action(
            connection,
            queue,
            "release",
            day,
            rows[rows[ROW_ID].isin(clear)],
            decision,
            keys=hearing.row_keys,
        )
    return clear


def _publish(queue: Quarantine, day: Partition, clear: pd.DataFrame, decision: ReviewAction) -> None:
    """Add the rows that are not there yet to the partition, in one commit; none if all are there."""
    columns = queue.declared.columns
    rows = clear.assign(_content=pd.Series(contents(clear, columns), index=clear.index, dtype=object))
    rows = rows.drop_duplicates("_content")

    def lacking(published: pd.DataFrame) -> pd.DataFrame:
        there = set(contents(_alike(published, clear, queue.key), columns))
        return rows[[one not in there for one in rows["_content"]]].drop(columns=["_content", ROW_ID])

    if lacking(queue.lake.read(queue.name, [day])).empty:
        return

    def merge(published: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([published, lacking(published)], ignore_index=True)

    metadata = {"run": decision.run, "released_by": decision.actor}
    queue.lake.update(queue.name, [day], merge, metadata=metadata)


def _alike(published: pd.DataFrame, clear: pd.DataFrame, key: Sequence[str]) -> pd.DataFrame:
    """Return the published rows that may have the key of a row that is clear."""
    return published[published[key[0]].isin(clear[key[0]])]


def contents(
    frame: pd.DataFrame, columns: Sequence[Column], names: Sequence[str] | None = None
) -> list[tuple[Any, ...]]:
    """Return each row's declared values, or those of `names`, in a form in which equal rows are equal."""
    exact: dict[str, Callable[[Any], Any]] = {
        "number": float,
        "integer": int,
        "boolean": bool,
        "string": str,
        "timestamp": _moment,
    }
    wanted = [column for column in columns if names is None or column.name in names]
    values = [
        [None if pd.isna(value) else exact[column.dtype](value) for value in frame[column.name]]
        for column in wanted
    ]
    return list(zip(*values, strict=True))


def _moment(value: Any) -> int:
    return int(pd.Timestamp(value).as_unit("us").value)


def _update_queue(
    queue: Quarantine,
    day: Partition,
    clear: Collection[str],
    kept: dict[str, tuple[str, str]],
    decision: ReviewAction,
) -> None:
    """Take the released rows out of the queue, and give the others their new reasons, in one commit."""

    def change(rows: pd.DataFrame) -> pd.DataFrame:
        stay = rows[~rows[ROW_ID].isin(list(clear))]
        told = [kept.get(one) for one in stay[ROW_ID]]
        return stay.assign(
            **{
                FAILED: [new[0] if new else old for new, old in zip(told, stay[FAILED], strict=True)],
                REASONS: [new[1] if new else old for new, old in zip(told, stay[REASONS], strict=True)],
            }
        )

    queue.lake.update(queue.table, [day], change, metadata={"run": decision.run})
