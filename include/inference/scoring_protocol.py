"""Requests in MLflow's scoring protocol: strict parsing into typed columns."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec
import pandas as pd

from include.feature_values import base_kind, estimator_array, may_be_missing
from include.inference.column_values import INTEGERS, check_column
from include.inference.requests.request_body import MAX_BODY_BYTES, BadRequest
from include.inference.requests.request_keys import NO_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from include.feature_values import ColumnType
    from include.inference.requests.request_keys import Keys

__all__ = [
    "MAX_BODY_BYTES",
    "MAX_ROWS",
    "BadRequest",
    "Rows",
    "check_column",
    "frame",
    "merge_columns",
    "parse_request",
]

MAX_ROWS = 10_000
MAX_LISTED_COLUMNS = 20
FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
# Of MLflow's protocol; no model takes parameters, so that they are ignored as MLflow ignores them.
PARAMS = "params"
_DECODER = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True)
class Rows:
    """
    The checked rows of one request, column by column; None is a missing value.

    `keys` are the entity columns and the time that were sent; features that can be looked up by them may be
    absent. `feature_age_s` is the age in seconds of the oldest value that was looked up, None without one.
    """

    columns: dict[str, list[Any]]
    count: int
    keys: dict[str, list[Any]] = field(default_factory=dict)
    feature_age_s: float | None = None

    def records(self) -> list[dict[str, Any]]:
        """Return one dictionary per row, of its keys and features."""
        columns = self.keys | self.columns
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def parse_request(
    body: bytes,
    content_type: str,
    columns: dict[str, ColumnType],
    keys: Keys = NO_KEYS,
    *,
    ignore_unknown: bool = False,
) -> Rows:
    """
    Return the checked rows of a request.

    Parameters
    ----------
    body, content_type
        The HTTP request's body (JSON or CSV) and its Content-Type.
    columns
        The type of each feature, in the order of training.
    keys
        Further columns that are accepted; features that can be looked up by them need not be sent. A feature
        that may be missing need not be sent either: it is missing then.
    ignore_unknown
        Whether columns that are neither are ignored instead of refused.

    Raises
    ------
    BadRequest
        If the request is invalid; the message names the problem, the column and the row.
    """
    if len(body) > MAX_BODY_BYTES:
        raise BadRequest(
            f"The body has {len(body)} bytes; at most {MAX_BODY_BYTES} are accepted. Send fewer rows.", 413
        )
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type in {"text/csv", "application/csv"}:
        names, rows = _from_csv(body, {**keys.kinds, **columns})
    elif media_type in {"", "application/json"}:
        names, rows = _from_json(body, columns)
    else:
        raise BadRequest(
            f"Content-Type {media_type} is not supported; send application/json or text/csv.", 415
        )
    return _check_values(names, rows, columns, keys, ignore_unknown=ignore_unknown)


def merge_columns(requests: Sequence[Rows], names: Iterable[str]) -> Mapping[str, Sequence[Any]]:
    """Return the named columns of all requests, one after another."""
    if len(requests) == 1:
        return requests[0].columns
    columns = [request.columns for request in requests]
    return {name: list(chain.from_iterable(map(itemgetter(name), columns))) for name in names}


def frame(requests: Sequence[Rows], columns: dict[str, ColumnType]) -> pd.DataFrame:
    """Return the rows of all requests as one frame with the dtypes of `columns`."""
    values = merge_columns(requests, columns)
    data = {name: estimator_array(values[name], kind) for name, kind in columns.items()}
    return pd.DataFrame(data, copy=False)


def _from_json(body: bytes, columns: dict[str, ColumnType]) -> tuple[list[str], list[list[Any]]]:
    content = _decode_json(body)
    if isinstance(content, dict) and not isinstance(content.pop(PARAMS, None), dict | None):
        raise BadRequest(f"{PARAMS} must be an object, or null.")
    if not isinstance(content, dict) or len(content) != 1 or next(iter(content)) not in FORMATS:
        received = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise BadRequest(
            f"The body must be an object with exactly one of {', '.join(FORMATS)}; received {received}."
        )
    form, data = next(iter(content.items()))
    if form == "dataframe_split":
        return _from_split(data)
    if form == "inputs" and isinstance(data, dict):
        return _from_columns(data)
    if not isinstance(data, list):
        raise BadRequest(f"{form} must be a list of rows.")
    if data and isinstance(data[0], list):
        return list(columns), _check_widths(data, len(columns), form)
    return _from_records(data, form)


def _decode_json(body: bytes) -> Any:
    """Return the content of a body in JSON; rare encodings and numbers need the slower parser."""
    try:
        return _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return json.loads(body, parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The body is not JSON: {error}.") from error


def _from_split(data: Any) -> tuple[list[str], list[list[Any]]]:
    if not isinstance(data, dict) or not {"columns", "data"} <= data.keys() <= {"columns", "data", "index"}:
        raise BadRequest("dataframe_split must have columns and data.")
    names = data["columns"]
    rows = data["data"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadRequest("dataframe_split.columns must be a list of names.")
    if not isinstance(rows, list):
        raise BadRequest("dataframe_split.data must be a list of rows.")
    return names, _check_widths(rows, len(names), "dataframe_split.data")


def _from_columns(data: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    values = [value if isinstance(value, list) else [value] for value in data.values()]
    lengths = {name: len(column) for name, column in zip(data, values, strict=True)}
    if len(set(lengths.values())) > 1:
        raise BadRequest(f"inputs: the columns have different lengths: {lengths}.")
    return list(data), [list(row) for row in zip(*values, strict=True)]


def _from_records(data: list[Any], form: str) -> tuple[list[str], list[list[Any]]]:
    if not all(isinstance(row, dict) for row in data):
        raise BadRequest(f"{form} must contain rows of one kind: objects, or lists.")
    names = list(data[0]) if data else []
    for number, row in enumerate(data):
        if row.keys() != data[0].keys():
            different = sorted(row.keys() ^ data[0].keys())
            raise BadRequest(f"{form}: row {number} differs from row 0 in {', '.join(different)}.")
    return names, [list(map(row.__getitem__, names)) for row in data]


def _check_widths(rows: list[Any], width: int, source: str) -> list[list[Any]]:
    """Return the rows; raise BadRequest if one of them is not a list of `width` values."""
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != width:
            received = len(row) if isinstance(row, list) else type(row).__name__
            raise BadRequest(f"{source}: row {number} must be a list of {width} values, not {received}.")
    return rows


def _from_csv(body: bytes, columns: dict[str, ColumnType]) -> tuple[list[str], list[list[Any]]]:
    try:
        lines = [line for line in csv.reader(io.StringIO(body.decode()), strict=True) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadRequest(f"The body is not CSV in UTF-8: {error}.") from error
    if not lines:
        raise BadRequest("The CSV is empty; its first line names the columns.")
    names = lines[0]
    rows = _check_widths(lines[1:], len(names), "CSV")
    kinds = [columns.get(name, "string") for name in names]
    return names, [list(map(_from_text, row, kinds)) for row in rows]


def _from_text(text: str, kind: ColumnType) -> Any:
    """Return the value of a CSV cell; text that cannot be converted is rejected by `check_column`."""
    base = base_kind(kind)
    if base == "string" and not may_be_missing(kind):
        return text
    if text == "":
        return None
    if base in {"string", "datetime"}:
        return text
    # Python reads 1_000 as a number.
    if "_" in text:
        return text
    if base == "boolean":
        return {"true": True, "false": False}.get(text.lower(), text)
    try:
        return _CSV_READERS[base](text)
    except ValueError:
        return _to_float(text) if base in INTEGERS else text


def _to_float(text: str) -> float | str:
    """Return the number in a cell of integers, such as 17.0; text that is none is rejected later."""
    try:
        return float(text)
    except ValueError:
        return text


def _check_values(
    names: list[str],
    rows: list[list[Any]],
    columns: dict[str, ColumnType],
    keys: Keys,
    *,
    ignore_unknown: bool,
) -> Rows:
    if not rows:
        raise BadRequest("There is no row to predict.")
    if len(rows) > MAX_ROWS:
        raise BadRequest(
            f"There are {len(rows)} rows; at most {MAX_ROWS} are accepted at once. Send fewer.", 413
        )
    _check_names(names, columns, keys, ignore_unknown=ignore_unknown)
    values_by_name = dict(zip(names, zip(*rows, strict=True), strict=True))
    sent_keys = _check_columns(values_by_name, keys.kinds)
    sent_features = _check_columns(values_by_name, columns)
    for name, kind in columns.items():
        if name not in sent_features and may_be_missing(kind) and not keys.can_look_up(name, sent_keys):
            sent_features[name] = [None] * len(rows)
    return Rows(sent_features, len(rows), sent_keys)


def _check_columns(
    values: Mapping[str, Sequence[Any]], kinds: Mapping[str, ColumnType]
) -> dict[str, list[Any]]:
    return {name: check_column(name, values[name], kind) for name, kind in kinds.items() if name in values}


def _check_names(
    names: list[str], columns: dict[str, ColumnType], keys: Keys, *, ignore_unknown: bool
) -> None:
    """Raise BadRequest if a column is unknown or repeated, or required and cannot be looked up."""
    sent = set(names)
    required = [
        name for name, kind in columns.items() if not may_be_missing(kind) or keys.sends_part(name, sent)
    ]
    missing = [name for name in required if name not in sent and not keys.can_look_up(name, sent)]
    if not sent & (columns.keys() | keys.kinds.keys()):
        missing = list(columns)
    unknown = [] if ignore_unknown else sorted(sent - columns.keys() - keys.kinds.keys())
    repeated = sorted({name for name in names if names.count(name) > 1}) if len(sent) < len(names) else []
    if not (missing or unknown or repeated):
        return
    problems = {"missing": missing, "unknown": unknown, "given twice": repeated}
    listed = [
        f"{', '.join(affected[:MAX_LISTED_COLUMNS])} {problem}"
        for problem, affected in problems.items()
        if affected
    ]
    raise BadRequest(
        f"The columns are not the model's: {'; '.join(listed)}. It takes {', '.join(columns)}"
        f"{keys.describe(columns)}."
    )


_CSV_READERS: dict[str, type] = {"integer": int, "long": int, "float": float, "double": float}


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value; a missing number is null")
