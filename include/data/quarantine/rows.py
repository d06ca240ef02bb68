"""Records of rejected rows: readable text, the row exactly as it came, and a stable id."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from include.data.lake.partition_columns import DAY
from include.data.reading.raw import decode_raw, display, encode_raw
from include.data.reading.table import INTERNAL_COLUMNS, MALFORMED, MISFITS, MalformedLine
from include.data.reading.values import plain
from include.data.validation.results import FAILED, REASONS
from include.pseudonyms import pseudonym
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from include.data.validation.batch import Batch

ROW_ID = "_row_id"
ROW = "_row"
REFUSED_BY = "_refused_by"
REFUSED_AT = "_refused_at"
RECORD_COLUMNS = (ROW_ID, FAILED, REASONS, REFUSED_BY, REFUSED_AT)
_NOT_CONTENT = {*RECORD_COLUMNS, ROW, *INTERNAL_COLUMNS}


def to_record(batch: Batch, *, run: str, at: datetime) -> pd.DataFrame:
    """
    Return rejected rows with `_row_id`, `_failed`, `_reasons`, `_refused_by` and `_refused_at`, all as text.

    Every column is text, whatever the rows hold, so that its type never changes from day to day. `_row` is
    the row as it came, as JSON, with the raw values that do not fit. The id is a hash of that JSON, of the
    partition, and of the ordinal among equal rows: a row that is rejected again has the same id.
    """
    rows = batch.frame
    content = [column for column in rows.columns if column not in _NOT_CONTENT]
    raw_rows = [_raw_row(row, content) for row in rows.astype(object).to_dict("records")]
    originals = [encode_raw(row) for row in raw_rows]
    columns: dict[str, Any] = {name: _displayed(raw_rows, name) for name in content}
    lines = rows[MALFORMED] if MALFORMED in rows.columns else pd.Series(None, rows.index, dtype=object)
    columns |= {
        MALFORMED: [MalformedLine.from_json(line).describe() if pd.notna(line) else None for line in lines],
        ROW_ID: _row_ids(batch.partition_names, originals),
        FAILED: rows[FAILED].tolist() if len(rows) else [],
        REASONS: rows[REASONS].tolist() if len(rows) else [],
        REFUSED_BY: run,
        REFUSED_AT: at.isoformat(timespec="seconds"),
        ROW: originals,
    }
    return pd.DataFrame(columns, index=range(len(rows)), dtype=object)


def of_partition(records: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return records as those of another day, with the ids that their rows have there."""
    originals = [encode_raw(decode_raw(row) | {DAY: name}) for row in records[ROW]]
    ids = _row_ids([name] * len(originals), originals)
    return records.assign(**{DAY: name, ROW: originals, ROW_ID: ids})


def from_record(records: pd.DataFrame) -> pd.DataFrame:
    """Return the rows as they came, numbered from 0; the reader takes them like those of a source."""
    return pd.DataFrame([decode_raw(row) for row in records[ROW]], dtype=object)


def key_texts(frame: pd.DataFrame, key: Sequence[str], personal: Collection[str]) -> list[list[str]]:
    """Return the key of each row (n) as text, as the ledger keeps it: a pseudonym where it is personal."""
    texts = frame[list(key)].astype(str)
    for name in texts.columns.intersection(list(personal)):
        texts[name] = [pseudonym(value, settings().pseudonym_key) for value in texts[name]]
    rows: list[list[str]] = texts.to_numpy().tolist()
    return rows


def ids_digest(ids: list[str]) -> str:
    """Return a hash of several row ids."""
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]


def _row_ids(names: list[str], originals: list[str]) -> list[str]:
    ordinals: dict[tuple[str, str], int] = {}
    ids = []
    for content in zip(names, originals, strict=True):
        ordinal = ordinals.get(content, -1) + 1
        ordinals[content] = ordinal
        ids.append(ids_digest([*content, str(ordinal)]))
    return ids


def _displayed(rows: list[dict[str, Any]], name: str) -> list[str | None]:
    return [None if row[name] is None else display(row[name]) for row in rows]


def _raw_row(row: dict[Any, Any], content: list[str]) -> dict[str, Any]:
    """Return the values of a row as they came; its number in the file is no part of it."""
    raw = {name: plain(row[name]) for name in content}
    misfits = row.get(MISFITS)
    if isinstance(misfits, str):
        raw |= decode_raw(misfits)
    line = row.get(MALFORMED)
    if isinstance(line, str):
        raw[MALFORMED] = replace(MalformedLine.from_json(line), line=None).to_json()
    return raw
