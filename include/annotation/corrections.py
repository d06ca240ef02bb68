"""Labels of people are written into the landed files of the label's dataset, and recorded in the ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from include.annotation.label_rows import PLAIN, Event, locate_labels, parse_label, require_label
from include.annotation.landed_labels import plan_labels, write_files
from include.annotation.sheet import raise_problems, read_sheet
from include.catalog import catalog
from include.data.reading.spelling import Misfit, parse_text
from include.database.ledger import Entry, append
from include.database.locks import lock_transaction
from include.declarations.data.columns import shown_value
from include.errors import DataError
from include.governance.request_trace import read_logs
from include.monitoring.windows import name_row
from include.partitions import contiguous_ranges, format_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Engine

    from include.annotation.landed_labels import LabelChange, LabelRow, LandingFolder
    from include.data.lake.delta_tables import Lake
    from include.database.ledger import Event as LedgerEvent
    from include.declarations import Dataset, UseCase
    from include.governance.request_trace import RequestTrace

MAX_RECORDED = 20


@dataclass(frozen=True, slots=True)
class Stores:
    """What labels are read from and written to; `pseudonym_key` finds personal entities."""

    engine: Engine
    lake: Lake
    landing: LandingFolder
    pseudonym_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class WrittenLabels:
    """
    Labels that a person gave, of which `changed` were not in the files before.

    `partitions` are those to ingest again, as keys of a partition or a range, such as
    `2013-07-01..2013-07-02`; none if nothing changed. `all_partitions` are those of all labels.
    """

    use_case: str
    dataset: str
    labels: int
    changed: int
    partitions: tuple[str, ...]
    all_partitions: tuple[str, ...] = ()


def correct_answer(
    stores: Stores,
    request: str,
    label: str,
    *,
    row: int | None = None,
    model: str | None = None,
    actor: str,
    reason: str,
) -> WrittenLabels:
    """
    Write the right label of an answered request.

    Parameters
    ----------
    request
        A caller's `X-Request-Id`, the trace id of its `traceparent`, or the gateway's id.
    label
        Value of the label's column, as text.
    row
        Number of the row in a request of several, from 1.
    model
        Use case that answered; any if None.

    Raises
    ------
    DataError
        If there is no such answered request, several have the id, the row does not name its entity, or the
        label is none.
    """
    with stores.engine.connect() as connection:
        answer = _require_answer(read_logs(connection, request), request)
    if model not in {None, answer["use_case"]}:
        raise DataError(f"The request {request} was answered by {answer['use_case']}, not by {model}.")
    use_case = catalog().use_cases.get(answer["use_case"])
    if use_case is None:
        raise DataError(f"{answer['use_case']}, which answered the request, is not declared any more.")
    require_label(use_case)
    value = parse_label(use_case, label)
    event = _event_of(use_case, answer, row)
    located = locate_labels(use_case, stores.lake, [event], [value], stores.pseudonym_key)
    evidence = {"request": request, "row": row or 1}
    return _write_labels(stores, use_case, located, ("corrected", actor, reason), evidence)


def import_labels(
    stores: Stores, use_case: UseCase, content: str, *, actor: str, reason: str
) -> WrittenLabels:
    """
    Write the labels of a file that a person filled in; all of them, or none.

    Raises
    ------
    DataError
        If the file is none of the use case, or a label is none; the message has the lines.
    """
    require_label(use_case)
    keys = catalog().features_of(use_case).spine.label_keys
    filled = read_sheet(use_case, keys, content, stores.pseudonym_key)
    if not filled:
        raise DataError("The file has no label: fill in the column _label of some rows.")
    values = []
    problems = []
    for row in filled:
        try:
            values.append(parse_label(use_case, row.label))
        except DataError as error:
            problems.append(f"line {row.line}: {str(error).rstrip('.')}")
    raise_problems(problems)
    events = [row.event for row in filled]
    located = locate_labels(use_case, stores.lake, events, values, stores.pseudonym_key)
    return _write_labels(stores, use_case, located, ("annotated", actor, reason), {})


def _require_answer(traces: Sequence[RequestTrace], request: str) -> dict[str, Any]:
    answered = [answer for trace in traces if (answer := trace.answer) is not None]
    if not answered:
        raise DataError(f"No version answered the request {request}: there is no prediction to correct.")
    if len(answered) > 1:
        ids = ", ".join(str(answer["gateway_id"]) for answer in answered if answer["gateway_id"])
        raise DataError(
            f"{len(answered)} requests have the id {request}: name one by the gateway's id, {ids}, which "
            "`airworthy trace` shows with its rows."
        )
    return answered[0]


def _event_of(use_case: UseCase, answer: dict[str, Any], row: int | None) -> Event:
    rows = answer["inputs"] or []
    if row is None and len(rows) != 1:
        raise DataError(f"The request has {len(rows)} rows: say which one by its number, from 1.")
    number = row or 1
    if not 1 <= number <= len(rows):
        raise DataError(f"The request has no row {number}: it has {len(rows)}.")
    spine = catalog().features_of(use_case).spine
    entity_id = answer["entity_id"] if len(rows) == 1 else None
    *entity, time = name_row(rows[number - 1], spine, entity_id)
    if any(value is None for value in entity):
        raise DataError(
            f"The row does not name its {', '.join(spine.label_keys)}, so its label cannot be found. Let "
            "callers send it."
        )
    if time is None and use_case.label.time is not None:
        raise DataError(f"The row does not name its {spine.time}, to whose moment its label belongs.")
    at = answer["received_at"] if time is None else _parse_time(time, spine.time)
    return Event(tuple(map(str, entity)), at)


def _parse_time(value: Any, name: str) -> Any:
    try:
        return parse_text(str(value), "timestamp", PLAIN)
    except Misfit as error:
        raise DataError(f"The row's {name} {value!r} is no moment with a time zone.") from error


def _write_labels(
    stores: Stores,
    use_case: UseCase,
    rows: list[LabelRow],
    record: tuple[LedgerEvent, str, str],
    evidence: dict[str, Any],
) -> WrittenLabels:
    """Write the files and the entry of the ledger; the same labels again change and record nothing."""
    dataset = catalog().datasets[use_case.label.dataset]
    event, actor, reason = record
    with stores.engine.begin() as connection:
        # Two people may correct rows of one file.
        lock_transaction(connection, f"landing/{dataset.name}")
        planned = plan_labels(dataset, rows, stores.landing)
        partitions = _range_keys(dataset, (change.row for change in planned.changes))
        if planned.changes:
            figures = {
                **evidence,
                "dataset": dataset.name,
                "partitions": list(partitions),
                "labels": len(planned.changes),
                "changes": [_describe_change(change, use_case) for change in planned.changes[:MAX_RECORDED]],
            }
            append(connection, Entry(use_case.name, event, actor, reason, evidence=figures))
            write_files(planned, stores.landing)
    n_changed = len(planned.changes)
    return WrittenLabels(
        use_case.name, dataset.name, len(rows), n_changed, partitions, _range_keys(dataset, rows)
    )


def _range_keys(dataset: Dataset, rows: Iterable[LabelRow]) -> tuple[str, ...]:
    """Return the partitions of labels as the fewest keys."""
    ranges = contiguous_ranges({row.partition for row in rows}, dataset.calendar)
    return tuple(format_key(partitions) for partitions in ranges)


def _describe_change(change: LabelChange, use_case: UseCase) -> dict[str, str | None]:
    """Return a change for the ledger, which cannot be changed: no personal value is in it."""
    dataset = catalog().datasets[use_case.label.dataset]
    columns = list(dataset.columns)
    for name in use_case.feature_views:
        columns += catalog().feature_views[name].columns
    row = change.row
    key = {name: shown_value(columns, name, value) for name, value in row.key.items()}
    before = None if change.before is None else shown_value(columns, row.column, change.before)
    return {**key, "before": before, "after": shown_value(columns, row.column, row.value)}
