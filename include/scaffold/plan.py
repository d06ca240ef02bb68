"""The plan of a new model: which columns become features, its key, split, gates and bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from include.data.snapshots.determination import find_determinants
from include.data.snapshots.target_encoding import TARGET
from include.errors import DataError
from include.scaffold.columns import InferredColumn, bounds_with_slack
from include.scaffold.guesses import find_identity, require_choices

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from include.scaffold.guesses import Choices
    from include.scaffold.tables import SourceTable

KEY = "row_id"
TIME = "at"
MIN_DAYS = 6
MAX_TEST_DAYS = 14
MAX_IDENTITY_SHARE = 0.5
MIN_IDENTITIES = 50
MIN_ROWS = 30


@dataclass(frozen=True)
class ModelPlan:
    """
    All that the declarations and the landing files of a model follow from.

    Attributes
    ----------
    name
        Use case; its dataset, labels and view have names that begin with it.
    columns
        Columns of the dataset in their order, with key and time, without a label that lands later.
    label
        Column to predict.
    key
        Column of the key; `KEY` is made here, and not in the file.
    key_parts
        Columns that `KEY` is made of; none if rows are numbered.
    features
        Features of the model.
    excluded
        Columns that are no features, with the reason.
    days
        Day of each row (n,); None without a time.
    copies_file
        Whether the file lands as it is.
    """

    name: str
    table: SourceTable
    choices: Choices
    columns: dict[str, InferredColumn]
    label: InferredColumn
    key: str
    features: tuple[str, ...]
    excluded: dict[str, str]
    days: pd.Series[Any] | None = field(default=None, repr=False)
    copies_file: bool = False
    key_parts: tuple[str, ...] = ()

    @property
    def is_dated(self) -> bool:
        """Whether rows have a time."""
        return self.days is not None

    @property
    def dataset(self) -> str:
        """Name of the dataset with the features."""
        return f"{self.name}_rows"

    @property
    def outcomes(self) -> str:
        """Name of the dataset with the label: one of its own if rows have a time."""
        return f"{self.name}_outcomes" if self.is_dated else self.dataset

    @property
    def view(self) -> str:
        """Name of the feature view."""
        return f"{self.name}_features"

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.label.values)

    @property
    def calendar_days(self) -> list[date]:
        """Every day from the first to the last one, also those without rows."""
        if self.days is None:
            return []
        return [moment.date() for moment in pd.date_range(self.days.min(), self.days.max())]

    @property
    def daily_rows(self) -> pd.Series[Any]:
        """Number of rows of each day that has some."""
        return self.days.value_counts() if self.days is not None else pd.Series([self.n_rows])

    @property
    def texts(self) -> tuple[str, ...]:
        """Features that are texts."""
        return tuple(name for name in self.features if self.columns[name].dtype == "string")


def make_plan(
    name: str, table: SourceTable, columns: Mapping[str, InferredColumn], choices: Choices
) -> ModelPlan:
    """
    Return the plan of a model from the columns of a table and the answers.

    Raises
    ------
    DataError
        If an answer does not fit, or there are too few rows, days or features.
    """
    require_choices(columns, choices)
    label = columns[choices.label]
    rows = label.values.notna() if not choices.time else pd.Series(True, index=label.values.index)
    if int(label.values.notna().sum()) < MIN_ROWS:
        raise DataError(f"{label.name} has fewer than {MIN_ROWS} values, too few to learn from.")
    moments = _event_times(columns, choices)
    days = None if moments is None else moments.dt.normalize()
    _require_enough_days(days)
    own = {column: columns[column] for column in columns if column not in choices.time[:1]}
    if moments is not None:
        _rename_taken(own)
        own = {TIME: InferredColumn(TIME, "timestamp", moments), **own}
        del own[choices.label]
    key = _choose_key(own, choices, moments)
    parts: tuple[str, ...] = ()
    if key == KEY:
        parts = _key_parts(own, choices, moments)
        own = {KEY: _make_key(own, parts, moments, len(rows)), **own}
    features, excluded = _choose_features(own, choices, key)
    copies = moments is None and key != KEY and table.path is not None
    return ModelPlan(
        name,
        table,
        choices,
        own,
        label,
        key,
        tuple(features),
        excluded,
        days,
        copies_file=copies,
        key_parts=parts,
    )


def prediction_range(label: InferredColumn) -> tuple[float, float]:
    """Return the range of a regression's predictions: the label's with much slack, from 0 for counts."""
    low, high = bounds_with_slack(label.values, whole=False)
    span = float(label.values.max() - label.values.min()) or 1.0
    if is_count(label):
        return 0.0, float(math.ceil(high + span / 2))
    return float(math.floor(low - span / 2)), float(math.ceil(high + span / 2))


def is_count(label: InferredColumn) -> bool:
    """Return whether a label is a number of things: whole, and never negative."""
    return label.dtype == "integer" and bool(label.values.min() >= 0)


def naive_error(label: InferredColumn) -> float:
    """Return the mean absolute error of predicting the median for each row."""
    values = label.values.dropna().astype(float)
    return float((values - values.median()).abs().mean())


def naive_log_loss(label: InferredColumn) -> float:
    """Return the log loss of predicting the share of each class for each row."""
    shares = label.values.value_counts(normalize=True).to_numpy(dtype=float)
    return float(-(shares * np.log(shares)).sum())


def _event_times(columns: Mapping[str, InferredColumn], choices: Choices) -> pd.Series[Any] | None:
    if not choices.time:
        return None
    moments = columns[choices.time[0]].values
    if len(choices.time) > 1:
        hours = columns[choices.time[1]].values.astype("int64")
        moments = moments.dt.normalize() + pd.to_timedelta(hours, unit="h")
    return moments


def _require_enough_days(days: pd.Series[Any] | None) -> None:
    if days is None:
        return
    n_days = int(days.nunique())
    if n_days < MIN_DAYS:
        raise DataError(
            f"There are {n_days} days of rows, too few to train on some and test on later ones. Give a "
            "longer file, or say --time none to split its rows at random."
        )


def _rename_taken(own: dict[str, InferredColumn]) -> None:
    if TIME in own:
        raise DataError(f"The column {TIME} has no time of the event; rename it in the file.")


def _choose_key(own: Mapping[str, InferredColumn], choices: Choices, moments: pd.Series[Any] | None) -> str:
    """Return the entity if it identifies a row, of a day where rows have one; else `KEY`."""
    entity = choices.entity
    if KEY in own and entity != KEY:
        raise DataError(f"The column {KEY} is not the entity; rename it in the file, or say --entity {KEY}.")
    if entity is None:
        return KEY
    values = own[entity].values
    if moments is None:
        if values.isna().any() or not values.is_unique:
            raise DataError(
                f"--entity: {entity} is not another value in each row. Say --entity none to number the rows."
            )
        return entity
    pairs = pd.DataFrame({"entity": values, "day": moments.dt.normalize()})
    return KEY if values.isna().any() or pairs.duplicated().any() else entity


def _key_parts(
    own: Mapping[str, InferredColumn], choices: Choices, moments: pd.Series[Any] | None
) -> tuple[str, ...]:
    """Return the columns that a key is made of: entity and time, or what else identifies a row."""
    if moments is None:
        return ()
    if choices.entity is not None:
        return (choices.entity, TIME)
    if not moments.duplicated().any():
        return (TIME,)
    identity = find_identity(own, moments)
    return (*identity, TIME) if identity else ()


def _make_key(
    own: Mapping[str, InferredColumn], parts: tuple[str, ...], moments: pd.Series[Any] | None, n_rows: int
) -> InferredColumn:
    """Return the key that is made here: a number, or the parts as a text; rows that share it are counted."""
    if moments is None:
        numbers = pd.Series(range(1, n_rows + 1), dtype="Int64")
        return InferredColumn(KEY, "integer", numbers)
    texts = moments.dt.strftime("%Y-%m-%dT%H:%M:%S")
    for name in reversed([part for part in parts if part != TIME]):
        texts = own[name].values.astype(str) + "@" + texts
    repeated = texts.groupby(texts).cumcount()
    unique = texts.where(repeated == 0, texts + "#" + repeated.astype(str))
    return InferredColumn(KEY, "string", unique)


def _choose_features(
    own: Mapping[str, InferredColumn], choices: Choices, key: str
) -> tuple[list[str], dict[str, str]]:
    features: list[str] = []
    excluded: dict[str, str] = {}
    for name, column in own.items():
        if name in {key, TIME, choices.label}:
            continue
        if column.dtype == "timestamp":
            excluded[name] = "a time is no number"
        elif column.n_values < 2:
            excluded[name] = "it has one value only"
        elif column.dtype == "string" and _identifies(column):
            excluded[name] = "it has nearly another text in each row"
        else:
            features.append(name)
    if not features:
        raise DataError("No column is left to predict from.")
    return features, excluded


def _identifies(column: InferredColumn) -> bool:
    return column.n_values > max(MIN_IDENTITIES, MAX_IDENTITY_SHARE * len(column.values))


def without_determinants(plan: ModelPlan) -> ModelPlan:
    """Return the plan without features that give the label: they are the label, or were made from it."""
    present = plan.label.values.notna()
    frame = pd.DataFrame({name: _numbers_in(plan.columns[name]) for name in plan.features})
    frame[TARGET] = pd.factorize(plan.label.values)[0]
    if plan.label.dtype in {"integer", "number"}:
        frame[TARGET] = plan.label.values.astype(float)
    # The part of a use case that is looked at; the use case itself does not exist yet.
    use_case: Any = SimpleNamespace(
        label=SimpleNamespace(is_absent=False), features=plan.features, allowed_determinants={}
    )
    determinants = find_determinants(cast("Any", use_case), frame[present])
    excluded = dict(plan.excluded)
    for determinant in determinants:
        for name in determinant.features:
            excluded[name] = f"{determinant}"
    features = tuple(name for name in plan.features if name not in excluded)
    if not features:
        raise DataError(f"Each column gives {plan.label.name}: {'; '.join(map(str, determinants))}.")
    # Columns of a dated row count as known before the event, and these are not.
    results = set(excluded) - set(plan.excluded) if plan.is_dated else set()
    columns = {name: column for name, column in plan.columns.items() if name not in results}
    return replace(plan, columns=columns, features=features, excluded=excluded)


def _numbers_in(column: InferredColumn) -> pd.Series[Any]:
    return column.values if column.dtype == "string" else column.values.astype(float)
