"""Guesses about a table: its label, the entity of a row, the time, and the task."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from include.scaffold.columns import InferredColumn


LearningTask = Literal["binary", "multiclass", "regression"]

LABEL_NAMES = re.compile(
    r"(^|_)(label|target|y|outcome|class|churn(ed)?|cnt|count|rentals|total|sales|demand|price|default(ed)?|"
    r"fraud|survived|response|quality|consumption|energy|power|output|failure|result)($|_)"
)
ID_NAMES = re.compile(
    r"(^|_)(id|key|no|nr|number|uuid|code|index)$|^(id|customer|sensor|station|device|store)"
)
TIME_NAMES = re.compile(r"(^|_)(date|day|dteday|time|timestamp|datetime|at|ts|when|month)($|_)")
HOUR_NAMES = re.compile(r"^(hr|hour|hours|hour_of_day|h)$")
LAST_HOUR = 23
MAX_CLASSES = 20
MAX_IDENTITY_COLUMNS = 8
MAX_INTEGER_CLASSES = 2
BINARY_CLASSES = 2
POSITIVE_VALUES = ("yes", "y", "true", "t", "1", "positive", "pos", "churned", "bad", "fraud", "default")


@dataclass(frozen=True)
class Choices:
    """
    The five answers that a declaration follows from.

    Attributes
    ----------
    label
        Column to predict.
    entity
        Column that says what a row is about; None if no column does.
    time
        Columns of the event's time: one, a date and an hour, or none.
    task
        What is predicted.
    owner
        Team that answers for the model.
    """

    label: str
    entity: str | None
    time: tuple[str, ...]
    task: LearningTask
    owner: str


def guess_time(columns: Mapping[str, InferredColumn]) -> tuple[str, ...]:
    """Return the column of the time, with one of the hour if that is a column of its own."""
    moments = [
        name for name, column in columns.items() if column.dtype == "timestamp" and not column.nullable
    ]
    if not moments:
        return ()
    named = [name for name in moments if TIME_NAMES.search(name)]
    time = (named or moments)[0]
    values = columns[time].values
    is_date = bool((values == values.dt.normalize()).all())
    hours = [
        name for name, column in columns.items() if HOUR_NAMES.fullmatch(name) and is_hour_column(column)
    ]
    return (time, hours[0]) if is_date and hours else (time,)


def guess_label(columns: Mapping[str, InferredColumn], time: Sequence[str]) -> str:
    """Return the column with the name of a label, else the last one that is neither time nor key."""
    candidates = [
        name
        for name, column in columns.items()
        if name not in time and column.dtype != "timestamp" and column.n_values > 1
    ]
    candidates = [name for name in candidates if not _is_identity(name, columns[name])] or candidates
    if not candidates:
        raise DataError("No column can be predicted: each is a time, or has one value only.")
    named = [name for name in candidates if LABEL_NAMES.search(name)]
    return (named or candidates)[-1]


def guess_entity(columns: Mapping[str, InferredColumn], label: str, time: Sequence[str]) -> str | None:
    """
    Return the column that says what a row is about; None if there is none.

    Without a time it has another value in each row; with a time, together with the time.
    """
    candidates = [
        name
        for name, column in columns.items()
        if name not in {label, *time} and column.dtype in {"string", "integer"} and not column.nullable
    ]
    named = [name for name in candidates if ID_NAMES.search(name)]
    if not time:
        unique = [name for name in named or candidates if columns[name].values.is_unique]
        return unique[0] if unique else None
    moments = pd.DataFrame({name: columns[name].values for name in time})
    if not moments.duplicated().any():
        return None
    for name in named or [name for name in candidates if columns[name].dtype == "string"]:
        if not moments.assign(_entity=columns[name].values).duplicated().any():
            return name
    return None


def find_identity(columns: Mapping[str, InferredColumn], moments: pd.Series[Any]) -> tuple[str, ...]:
    """Return two columns that identify a row together with its time, as shop and article; else none."""
    candidates = [
        name
        for name, column in columns.items()
        if column.dtype in {"string", "integer"} and not column.nullable and column.n_values > 1
    ]
    # Those with the name of a key first, then texts.
    candidates.sort(key=lambda name: (not ID_NAMES.search(name), columns[name].dtype != "string"))
    for pair in combinations(candidates[:MAX_IDENTITY_COLUMNS], 2):
        values = {"time": moments} | {name: columns[name].values for name in pair}
        if not pd.DataFrame(values).duplicated().any():
            return pair
    return ()


def guess_task(column: InferredColumn) -> LearningTask:
    """Return the task whose label a column can be."""
    if column.dtype == "boolean":
        return "binary"
    if column.dtype == "string":
        return "binary" if column.n_values == BINARY_CLASSES else "multiclass"
    if column.dtype == "integer" and column.n_values <= MAX_INTEGER_CLASSES:
        return "binary"
    return "regression"


def positive_value(column: InferredColumn) -> object:
    """Return which of two values is the positive one: the one that says so, else the rarer one."""
    counts = column.values.value_counts()
    for value in counts.index:
        if str(value).lower() in POSITIVE_VALUES:
            return value
    return counts.index[-1]


def require_choices(columns: Mapping[str, InferredColumn], choices: Choices) -> None:
    """Raise DataError if an answer does not fit the table; the message names column and remedy."""
    names = [choices.label, *choices.time, *([choices.entity] if choices.entity else [])]
    for name in names:
        if name not in columns:
            raise DataError(f"There is no column {name}; there are {', '.join(columns)}.")
    if len(set(names)) < len(names):
        raise DataError(f"Label, entity and time are different columns, and not {', '.join(names)}.")
    if choices.time and columns[choices.time[0]].dtype != "timestamp":
        raise DataError(f"--time: {choices.time[0]} holds no dates or times that can be read.")
    if len(choices.time) > 1 and not is_hour_column(columns[choices.time[1]]):
        raise DataError(f"--time: {choices.time[1]} holds no hours from 0 to 23.")
    for name in choices.time:
        if columns[name].nullable:
            raise DataError(f"--time: {name} is null in some rows. Remove them, or say --time none.")
    _require_label(columns[choices.label], choices.task)


def _require_label(label: InferredColumn, task: LearningTask) -> None:
    if label.dtype == "timestamp":
        raise DataError(f"--label: {label.name} is a time; choose a number, a text or a truth value.")
    if task == "regression" and label.dtype not in {"integer", "number"}:
        raise DataError(f"--task: {label.name} holds no numbers; choose binary or multiclass.")
    if task == "binary" and label.n_values != BINARY_CLASSES:
        raise DataError(f"--task: {label.name} has {label.n_values} values, and binary needs two.")
    if task == "multiclass":
        if label.dtype not in {"string", "integer"}:
            raise DataError(f"--task: a multiclass label is a text or an integer; {label.name} is neither.")
        if not BINARY_CLASSES < label.n_values <= MAX_CLASSES:
            raise DataError(
                f"--task: {label.name} has {label.n_values} values, and multiclass needs 3 to {MAX_CLASSES}."
            )


def is_hour_column(column: InferredColumn) -> bool:
    """Return whether a column holds hours of the day."""
    return column.dtype == "integer" and bool(column.values.between(0, LAST_HOUR).all())


def _is_identity(name: str, column: InferredColumn) -> bool:
    is_key = column.dtype in {"string", "integer"} and column.values.is_unique
    return is_key and ID_NAMES.search(name) is not None
