"""Rows of a request to a model that is switched off; types of columns are not known and not checked."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from include.inference.scoring_protocol import MAX_ROWS, BadRequest

CSV_TYPES = frozenset({"text/csv", "application/csv"})


def read_rows(body: bytes, content_type: str) -> list[dict[str, Any]]:
    """
    Return the rows of a request in the scoring protocol; those that name no columns are empty.

    Raises
    ------
    BadRequest
        If there are no rows, or too many.
    """
    try:
        if content_type.partition(";")[0].strip().lower() in CSV_TYPES:
            rows: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(body.decode())))
        else:
            rows = _rows_in(json.loads(body))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, csv.Error) as error:
        raise BadRequest(f"The body is not in the scoring protocol: {error}.") from error
    if not rows:
        raise BadRequest("There is no row to predict.")
    if len(rows) > MAX_ROWS:
        raise BadRequest(f"There are {len(rows)} rows; at most {MAX_ROWS} are accepted at once.", 413)
    return rows


def _rows_in(content: Any) -> list[dict[str, Any]]:
    split = content.get("dataframe_split")
    if split is not None:
        return [dict(zip(split["columns"], row, strict=True)) for row in split["data"]]
    form = next((form for form in ("dataframe_records", "instances", "inputs") if form in content), None)
    if form is None:
        raise ValueError("send one of dataframe_split, dataframe_records, instances, inputs")
    rows = content[form]
    if isinstance(rows, dict):
        columns = [value if isinstance(value, list) else [value] for value in rows.values()]
        return [dict(zip(rows, values, strict=True)) for values in zip(*columns, strict=True)]
    return [row if isinstance(row, dict) else {} for row in list(rows)]
