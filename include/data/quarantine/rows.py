"""A refused row as it is kept: readable text, the row exactly as it came, and a name that stays the same."""

from __future__ import annotations

import hashlib
import json
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.data.validation.row_checks import FAILED, REASONS

if TYPE_CHECKING:
    from include.data.lake.partition_columns import PartitionSet

ROW_ID, ROW = "_row_id", "_row"
REFUSED_BY, REFUSED_AT = "_refused_by", "_refused_at"
ABOUT = (ROW_ID, FAILED, REASONS, REFUSED_BY, REFUSED_AT)
_OURS = {*ABOUT, ROW}


def to_record(rows: pd.DataFrame, place: PartitionSet, *, run: str, at: datetime) -> pd.DataFrame:
    """
    Return refused rows with `_row_id`, `_failed`, `_reasons`, `_refused_by` and `_refused_at`, all as text.

    `_row` is the row as it came, as JSON. The id is a hash of that, of the partition, and of which of several
    equal rows it is: a row that is refused again has the same.
    """
    if rows.empty:
        return rows.iloc[:0].astype(object)
    content = [column for column in rows.columns if column not in _OURS]
    names = list(place.partition_of(rows))
    records = rows[content].astype(object).to_dict("records")
    originals = [json.dumps({str(name): _encoded(value) for name, value in one.items()}) for one in records]
    text: pd.DataFrame = rows[content].astype(object)
    text = text.apply(lambda column: column.map(str, na_action="ignore"))
    ours: dict[str, Any] = {
        FAILED: rows[FAILED],
        REASONS: rows[REASONS],
        REFUSED_BY: run,
        REFUSED_AT: at.isoformat(timespec="seconds"),
        ROW: originals,
    }
    return text.assign(**{ROW_ID: _ids(names, originals)}, **ours).reset_index(drop=True)


def from_record(kept: pd.DataFrame) -> pd.DataFrame:
    """Return the rows as they came, numbered from 0."""
    rows = [{name: _decoded(value) for name, value in json.loads(row).items()} for row in kept[ROW]]
    return pd.DataFrame(rows, dtype=object)


def _ids(names: list[str], originals: list[str]) -> list[str]:
    seen: dict[tuple[str, str], int] = {}
    ids = []
    for one in zip(names, originals, strict=True):
        ordinal = seen[one] = seen.get(one, -1) + 1
        ids.append(hashlib.sha256("\n".join((*one, str(ordinal))).encode()).hexdigest()[:16])
    return ids


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
    return date.fromisoformat(text) if kind == "day" else [text]


def ids_digest(ids: list[str]) -> str:
    """Return one name for several rows."""
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]
