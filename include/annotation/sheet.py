"""The file in which a person fills in labels: CSV with one row to label a line."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from include.annotation.label_rows import Event
from include.declarations.monitoring import MAX_QUEUE_ROWS
from include.errors import DataError
from include.pseudonyms import PREFIX, pseudonym

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from include.declarations import UseCase

# Names of declared columns begin with a letter.
ROW = "_row"
EVENT = "_event"
RULE = "_rule"
PREDICTION = "_prediction"
LABEL = "_label"
# A spreadsheet takes a text that begins so as a formula (OWASP, CSV injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r")
N_DIGITS = 16
MAX_PROBLEMS = 5


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A row that is worth a label: why, what was predicted, and its features, none of them personal."""

    event: Event
    rule: str
    prediction: str
    features: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FilledRow:
    """A row with the text that a person wrote as its label; `line` is its number in the file."""

    line: int
    event: Event
    label: str


def write_sheet(use_case: UseCase, keys: Sequence[str], rows: Sequence[QueueRow], key: str) -> str:
    """
    Return the file of some rows; its column `_label` is empty.

    Parameters
    ----------
    keys
        Names of the columns of the entity.
    key
        Key of pseudonyms, with which each row is sealed: a row that was not exported is not taken back.
    """
    features: dict[str, None] = {}
    for row in rows:
        features |= dict.fromkeys(row.features)
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([ROW, EVENT, *keys, RULE, PREDICTION, LABEL, *features])
    for row in rows:
        event = row.event
        cells = [_seal(use_case, event, key), event.at.isoformat(), *map(_safe_cell, event.entity)]
        cells += [row.rule, row.prediction, ""]
        writer.writerow(cells + [_safe_cell(row.features.get(name)) for name in features])
    return stream.getvalue()


def read_sheet(use_case: UseCase, keys: Sequence[str], content: str, key: str) -> list[FilledRow]:
    """
    Return the rows of a file that have a label; a row may be left empty, or be removed.

    Raises
    ------
    DataError
        If it is no such file, has too many rows, or a row that was not exported for this use case.
    """
    reader = csv.DictReader(io.StringIO(content.removeprefix("\ufeff"), newline=""))
    missing = [name for name in (ROW, EVENT, *keys, LABEL) if name not in (reader.fieldnames or ())]
    if missing:
        raise DataError(
            f"The file lacks the columns {', '.join(missing)}. Fill in the file that `airworthy annotate "
            f"export {use_case.name}` writes, and save it as CSV with commas."
        )
    filled: dict[Event, FilledRow] = {}
    problems = []
    for number, cells in enumerate(reader, 1):
        if number > MAX_QUEUE_ROWS:
            raise DataError(
                f"The file has more than {MAX_QUEUE_ROWS:,} rows. Import it in parts, or let the sender of "
                f"{use_case.label.dataset} deliver the labels."
            )
        label = (cells[LABEL] or "").strip()
        if not label:
            continue
        event = _read_event(use_case, keys, cells, key)
        if event is None:
            problems.append(f"line {reader.line_num} is no row of the queue of {use_case.name}")
        elif event in filled and filled[event].label != label:
            problems.append(
                f"line {reader.line_num} gives the row of line {filled[event].line} another label"
            )
        else:
            filled.setdefault(event, FilledRow(reader.line_num, event, label))
    raise_problems(problems)
    return list(filled.values())


def raise_problems(problems: Sequence[str]) -> None:
    """Raise DataError with the first of some problems of a file, if there are any."""
    if problems:
        more = f"; and {len(problems) - MAX_PROBLEMS} more" if len(problems) > MAX_PROBLEMS else ""
        raise DataError(f"{'; '.join(problems[:MAX_PROBLEMS])}{more}. Nothing was changed.")


def _read_event(
    use_case: UseCase, keys: Sequence[str], cells: Mapping[str, str | None], key: str
) -> Event | None:
    """Return the event of a row; None if it was changed, or not exported for this use case."""
    entity = tuple(_without_apostrophe(cells[name] or "") for name in keys)
    text = cells[EVENT] or ""
    try:
        at = datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)
    except ValueError:
        return None
    event = Event(entity, at)
    return event if cells[ROW] == _seal(use_case, event, key) else None


def _seal(use_case: UseCase, event: Event, key: str) -> str:
    """Return the keyed hash of a row, which only this stack can make."""
    text = "\x1f".join((use_case.name, event.at.isoformat(), *event.entity))
    return pseudonym(f"row of a queue\x1f{text}", key).removeprefix(PREFIX)[:N_DIGITS]


def _safe_cell(value: Any) -> str:
    text = "" if value is None or value != value else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith((*FORMULA, "'")) else text


def _without_apostrophe(text: str) -> str:
    return text[1:] if text.startswith("'") else text
