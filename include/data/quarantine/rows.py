"""Records of rejected rows: readable text, the row exactly as it came, and a stable id."""

from __future__ import annotations

import hashlib
import json
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.data.validation.results import FAILED, REASONS

if TYPE_CHECKING:
    from include.data.validation.batch import Batch

ROW_ID = "_row_id"
ROW = "_row"
REFUSED_BY = "_refused_by"
REFUSED_AT = "_refused_at"
RECORD_COLUMNS = (ROW_ID, FAILED, REASONS, REFUSED_BY, REFUSED_AT)
_NOT_CONTENT = {*RECORD_COLUMNS, ROW}


def to_record(batch: Batch, *, run: str, at: datetime) -> pd.DataFrame:
    """
    Return rejected rows with `_row_id`, `_failed`, `_reasons`, `_refused_by` and `_refused_at`, all as text.

    `_row` is the row as it came, as JSON. The id is a hash of that JSON, of the partition, and of the ordinal
    among equal rows: a row that is rejected again has the same id.
    """
    rows = batch.frame
    if rows.empty:
        return rows.iloc[:0].astype(object)
    content = [column for column in rows.columns if column not in _NOT_CONTENT]
    originals = [_serialise_row(row) for row in rows[content].astype(object).to_dict("records")]
    text: pd.DataFrame = rows[content].astype(object)
    text = text.apply(lambda column: column.map(str, na_action="ignore"))
    record: dict[str, Any] = {
        ROW_ID: _row_ids(batch.partition_names, originals),
        FAILED: rows[FAILED],
        REASONS: rows[REASONS],
        REFUSED_BY: run,
        REFUSED_AT: at.isoformat(timespec="seconds"),
        ROW: originals,
    }
    return text.assign(**record).reset_index(drop=True)


def from_record(records: pd.DataFrame) -> pd.DataFrame:
    """Return the rows as they came, numbered from 0."""
    return pd.DataFrame([_parse_row(row) for row in records[ROW]], dtype=object)


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


def _serialise_row(row: dict[Any, Any]) -> str:
    return json.dumps({str(name): _encoded(value) for name, value in row.items()})


def _parse_row(text: str) -> dict[str, Any]:
    return {name: _decoded(value) for name, value in json.loads(text).items()}


def _encoded(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, list | tuple | dict | np.ndarray):
        return {"other": str(value)}
    if pd.isna(value):
        return None
    if isinstance(value, datetime):
        return {"moment": value.isoformat()}
    if isinstance(value, str | int | float | bool):
        return value
    return {"day": value.isoformat()} if isinstance(value, date) else {"other": str(value)}


def _decoded(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, text),) = value.items()
    if kind == "moment":
        return pd.Timestamp(text)
    # A value of an undeclared type stays of no declared type.
    return date.fromisoformat(text) if kind == "day" else [text]
