"""MLflow's scoring protocol: strict about what comes in, and about our own answers."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.errors import AirworthyError, DataError
from include.inference.model import DTYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from include.inference.model import ColumnType

MAX_BYTES = 2 * 1024 * 1024
MAX_ROWS = 10_000
ROUNDING = 1e-6  # of probabilities that add up to 1
FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_TYPES: dict[str, frozenset[type]] = {
    "boolean": frozenset({bool}),
    "integer": frozenset({int}),
    "long": frozenset({int}),
    "float": frozenset({int, float}),
    "double": frozenset({int, float}),
    "string": frozenset({str}),
    "datetime": frozenset({str}),
}
_NULLABLE = frozenset({"float", "double", "datetime"})  # the others have no value that means "missing"
_LARGEST_FLOAT = float(np.finfo(np.float32).max)
_BOUNDS = {"integer": 2**31, "long": 2**63}


Predictions = list[float] | list[list[float]]


class BadRequest(DataError):
    """A request that cannot be answered, with the HTTP status that says so."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class InvalidPrediction(AirworthyError):
    """The model answered, but not with a prediction."""


@dataclass(frozen=True, slots=True)
class Key:
    """What a caller may send in place of features: the column that names the entity, and its type."""

    name: str
    kind: ColumnType


@dataclass(frozen=True, slots=True)
class Rows:
    """
    The rows of one request, column by column, checked against the signature; None is a missing value.

    With `keys`, of the entities that they are about, columns may lack that have to be looked up.
    """

    columns: dict[str, list[Any]]
    count: int
    keys: list[Any] | None = None

    def records(self) -> list[dict[str, Any]]:
        """Return one dictionary per row."""
        return [
            dict(zip(self.columns, values, strict=True))
            for values in zip(*self.columns.values(), strict=True)
        ]


def parse_request(
    body: bytes, content_type: str, columns: dict[str, ColumnType], key: Key | None = None
) -> Rows:
    """
    Return the rows of a request; one that has the `key` needs no other column.

    :raises Refused: naming what is wrong, and where
    """
    if len(body) > MAX_BYTES:
        raise BadRequest(
            f"The body has {len(body)} bytes; at most {MAX_BYTES} are taken. Send fewer rows.", 413
        )
    media = content_type.partition(";")[0].strip().lower()
    if media in {"text/csv", "application/csv"}:
        return _checked(*_from_csv(body, columns | ({key.name: key.kind} if key else {})), columns, key)
    if media in {"", "application/json"}:
        return _checked(*_from_json(body, columns), columns, key)
    raise BadRequest(f"Content-Type {media} is not taken; send application/json or text/csv.", 415)


def frame(requests: Sequence[Rows], columns: dict[str, ColumnType]) -> pd.DataFrame:
    """Return the rows of all requests as one typed frame."""
    data = {}
    for name, kind in columns.items():
        values = [value for request in requests for value in request.columns[name]]
        data[name] = _array(values, kind)
    return pd.DataFrame(data, copy=False)


def check_predictions(
    predictions: np.ndarray, rows: int, allowed: tuple[float, float], *, classes: int = 0
) -> Predictions:
    """
    Return the predictions of one request: a number per row, or of several `classes` a list of probabilities.

    :raises Nonsense: if they are not finite numbers of that shape within the range that makes sense, or
        probabilities that do not add up to 1
    """
    if predictions.shape != ((rows, classes) if classes else (rows,)):
        raise InvalidPrediction(f"the model gave an answer of shape {predictions.shape} to {rows} rows")
    if not np.isfinite(predictions).all():
        raise InvalidPrediction("the model predicted something that is not a finite number")
    if predictions.size and not (allowed[0] <= predictions.min() and predictions.max() <= allowed[1]):
        raise InvalidPrediction(
            f"the model predicted {predictions.min():g}…{predictions.max():g}, "
            f"outside of {allowed[0]:g}…{allowed[1]:g}"
        )
    if classes and np.abs(predictions.sum(axis=1) - 1).max(initial=0) > ROUNDING:
        raise InvalidPrediction("the model predicted probabilities that do not add up to 1")
    answer: Predictions = predictions.tolist()
    return answer


def _from_json(body: bytes, columns: dict[str, ColumnType]) -> tuple[list[str], list[list[Any]]]:
    try:
        content = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The body is not JSON: {error}.") from error
    if not isinstance(content, dict) or len(content) != 1 or next(iter(content)) not in FORMATS:
        found = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise BadRequest(
            f"The body must be an object with exactly one of {', '.join(FORMATS)}; found {found}."
        )
    form, data = next(iter(content.items()))
    if form == "dataframe_split":
        return _from_split(data)
    if form == "inputs" and isinstance(data, dict):
        return _from_columns(data)
    if not isinstance(data, list):
        raise BadRequest(f"{form} must be a list of rows.")
    if data and isinstance(data[0], list):
        return list(columns), _lists(data, len(columns), form)
    return _from_records(data, form)


def _from_split(data: Any) -> tuple[list[str], list[list[Any]]]:
    if not isinstance(data, dict) or not {"columns", "data"} <= data.keys() <= {"columns", "data", "index"}:
        raise BadRequest("dataframe_split must have columns and data.")
    names, rows = data["columns"], data["data"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadRequest("dataframe_split.columns must be a list of names.")
    if not isinstance(rows, list):
        raise BadRequest("dataframe_split.data must be a list of rows.")
    return names, _lists(rows, len(names), "dataframe_split.data")


def _from_columns(data: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    values = [value if isinstance(value, list) else [value] for value in data.values()]
    lengths = {name: len(column) for name, column in zip(data, values, strict=True)}
    if len(set(lengths.values())) > 1:
        raise BadRequest(f"inputs: the columns have different lengths: {lengths}.")
    return list(data), [list(row) for row in zip(*values, strict=True)]


def _from_records(data: list[Any], form: str) -> tuple[list[str], list[list[Any]]]:
    if not all(isinstance(row, dict) for row in data):
        raise BadRequest(f"{form} must hold rows of one kind: objects, or lists.")
    names = list(data[0]) if data else []
    for number, row in enumerate(data):
        if row.keys() != data[0].keys():
            different = sorted(row.keys() ^ data[0].keys())
            raise BadRequest(f"{form}: row {number} differs from row 0 in {', '.join(different)}.")
    return names, [[row[name] for name in names] for row in data]


def _lists(rows: list[Any], width: int, place: str) -> list[list[Any]]:
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != width:
            size = len(row) if isinstance(row, list) else type(row).__name__
            raise BadRequest(f"{place}: row {number} must be a list of {width} values, not {size}.")
    return rows


def _from_csv(body: bytes, columns: dict[str, ColumnType]) -> tuple[list[str], list[list[Any]]]:
    try:
        lines = [line for line in csv.reader(io.StringIO(body.decode()), strict=True) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadRequest(f"The body is not CSV in UTF-8: {error}.") from error
    if not lines:
        raise BadRequest("The CSV is empty; its first line names the columns.")
    names, rows = lines[0], _lists(lines[1:], len(lines[0]), "CSV")
    kinds = [columns.get(name, "string") for name in names]
    return names, [[_from_text(text, kind) for text, kind in zip(row, kinds, strict=True)] for row in rows]


def _from_text(text: str, kind: ColumnType) -> Any:
    readers: dict[str, Callable[[str], Any]] = {"integer": int, "long": int, "float": float, "double": float}
    if kind == "string":
        return text
    if text == "":
        return None
    if kind == "boolean":
        return {"true": True, "false": False}.get(text.lower(), text)
    try:
        return readers.get(kind, str)(text)
    except ValueError:
        return text


def check_column(name: str, values: Sequence[Any], kind: ColumnType) -> list[Any]:
    """
    Return the values of a column.

    :raises Refused: naming the first that is not of its type
    """
    allowed = _TYPES[kind] | ({type(None)} if kind in _NULLABLE else set())
    if not set(map(type, values)) <= allowed:
        row = next(row for row, value in enumerate(values) if type(value) not in allowed)
        raise BadRequest(f"Column {name}, row {row}: {_shown(values[row])} is not of type {kind}.")
    problem = _PROBLEMS.get(kind)
    if problem:
        for row, value in enumerate(values):
            if value is not None and problem(value):
                raise BadRequest(f"Column {name}, row {row}: {_shown(value)} is {problem(value)}.")
    return list(values)


def _checked(
    names: list[str], rows: list[list[Any]], columns: dict[str, ColumnType], key: Key | None
) -> Rows:
    if not rows:
        raise BadRequest("There is no row to predict.")
    if len(rows) > MAX_ROWS:
        raise BadRequest(
            f"There are {len(rows)} rows; at most {MAX_ROWS} are taken at once. Send fewer.", 413
        )
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    keyed = key is not None and key.name in names
    problems = {
        "missing": [name for name in columns if name not in names and not keyed],
        "unknown": sorted(set(names) - set(columns) - ({key.name} if key else set())),
        "given twice": twice,
    }
    if found := [f"{', '.join(those[:20])} {what}" for what, those in problems.items() if those]:
        alone = f", or {key.name} alone" if key else ""
        raise BadRequest(
            f"The columns are not the model's: {'; '.join(found)}. It takes {', '.join(columns)}{alone}."
        )
    given = dict(zip(names, zip(*rows, strict=True), strict=True))
    keys = check_column(key.name, given[key.name], key.kind) if key and keyed else None
    checked = {name: check_column(name, given[name], kind) for name, kind in columns.items() if name in given}
    return Rows(checked, len(rows), keys)


def _not_whole(kind: str) -> Callable[[int], str]:
    bound = _BOUNDS[kind]
    return lambda value: "" if -bound <= value < bound else f"too large for type {kind}"


def _not_finite(value: float) -> str:
    try:
        return "" if math.isfinite(value) else "not a finite number"
    except OverflowError:
        return "too large for a number"


def _not_single(value: float) -> str:
    return _not_finite(value) or ("" if abs(value) <= _LARGEST_FLOAT else "too large for type float")


def _not_text(value: str) -> str:
    if "\x00" in value:
        return "text with a NUL character"
    return "" if value.isascii() or value.encode(errors="ignore").decode() == value else "not valid Unicode"


def _not_time(value: str) -> str:
    try:
        return "not a time" if pd.isna(pd.Timestamp(value)) else ""
    except ValueError:
        return "not a time such as 2013-07-01T12:00:00Z"


_PROBLEMS: dict[str, Callable[[Any], str]] = {
    "integer": _not_whole("integer"),
    "long": _not_whole("long"),
    "float": _not_single,
    "double": _not_finite,
    "string": _not_text,
    "datetime": _not_time,
}


def _array(values: list[Any], kind: ColumnType) -> Any:
    if kind == "datetime":
        return pd.to_datetime(pd.Series(values, dtype=object), utc=True, format="ISO8601")
    return np.array(values, dtype=DTYPES[kind])


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value; a missing number is null")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
