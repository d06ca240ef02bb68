"""Batch predictions of one model version, computed like those of its model server."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from include.data.feature_store.feature_rows import partition_columns
from include.data.lake.dtypes import TYPES
from include.errors import DataError
from include.inference.predictions import (
    DECISION,
    PREDICTION,
    PROBABILITY,
    VERSION,
    InvalidPrediction,
    outside_range,
)
from include.modeling.batch_scoring.predictor import TablePredictor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.declarations import UseCase
    from include.declarations.relations.feature_selection import Spine
    from include.inference.model import ServedModel

Predictions = np.ndarray[Any, Any]


@dataclass
class BatchScorer:
    """
    Predicts rows of a use case, one batch after the other, and counts what it predicted.

    Parameters
    ----------
    use_case
        Use case of the model, as it was when the version was trained.
    spine
        Key, entity and time columns of the rows.
    model
        Loaded model.
    version
        Version of the model.

    Attributes
    ----------
    rows : int
        Rows that were scored.
    total : float
        Sum of their predictions; of several classes, `counts` has the rows of each.
    """

    use_case: UseCase
    spine: Spine
    model: ServedModel
    version: int
    rows: int = 0
    total: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)

    @cached_property
    def _predictor(self) -> TablePredictor:
        return TablePredictor(self.model)

    @property
    def schema(self) -> pa.Schema:
        """Names and types of all columns of the output."""
        declared = [pa.field(name, TYPES[self.spine.types[name]]) for name in self.spine.columns]
        partition = [pa.field(name, pa.string()) for name in partition_columns(self.spine)]
        return pa.schema([*declared, *partition, *self.predicted_schema])

    @property
    def predicted_schema(self) -> pa.Schema:
        """Names and types of the predicted columns, which follow those of the spine and the partition."""
        classes = self.model.classes
        answer = _class_type(classes) if classes else pa.float64()
        fields = [pa.field(PREDICTION, answer)]
        fields += [pa.field(name, pa.float64()) for name in probability_columns(classes)]
        if self.model.decision is not None:
            fields.append(pa.field(DECISION, answer if classes else pa.bool_()))
        return pa.schema([*fields, pa.field(VERSION, pa.int64())])

    def score(self, rows: pa.Table) -> pa.Table:
        """
        Predict a batch of rows.

        Parameters
        ----------
        rows
            Rows of the spine with all features (n).

        Returns
        -------
        pyarrow.Table
            Columns of the spine, partition, and those of `predicted_schema` (n rows). Of several classes, the
            prediction is the most probable one, as it stands in the data; each has a column in
            `probability_columns`. With a packaged rule, `DECISION` is the cheapest decision: whether to act
            on the row, or the class.

        Raises
        ------
        DataError
            If a feature is missing, or a value of a feature that was never missing in training.
        InvalidPrediction
            If a prediction is not finite, or outside of the declared range.
        """
        missing = [name for name in self.use_case.features if name not in rows.column_names]
        if missing:
            raise DataError(
                f"{self.use_case.name}: the rows lack {', '.join(missing)}. Rebuild "
                f"{self.use_case.feature_view}, or correct `features` in the use case."
            )
        predictions = self._predictor.predict(rows)
        self._require_in_range(rows, predictions)
        columns = self._columns_of(predictions)
        scored = rows.select([*self.spine.columns, *partition_columns(self.spine)])
        for column in self.predicted_schema:
            values = pa.array(columns[column.name], type=column.type)
            scored = scored.append_column(column, values)
        self._count(columns[PREDICTION])
        return scored

    def figures(self) -> dict[str, Any]:
        """Return the version, the rows, and their mean prediction or the share of each class (`shares`)."""
        figures: dict[str, Any] = {"rows": self.rows, "version": self.version}
        if not self.rows:
            return figures
        if not self.model.classes:
            return figures | {"mean": self.total / self.rows}
        return figures | {"shares": {name: count / self.rows for name, count in self.counts.most_common()}}

    def _columns_of(self, predictions: Predictions) -> dict[str, Predictions]:
        """Return the predicted columns (n,) by name."""
        classes = self.model.classes
        columns: dict[str, Predictions] = {VERSION: np.full(len(predictions), self.version)}
        if classes:
            columns[PREDICTION] = np.asarray(classes, dtype=object)[predictions.argmax(axis=1)]
            columns |= dict(zip(probability_columns(classes), predictions.T, strict=True))
        else:
            columns[PREDICTION] = predictions
        if self.model.decision is not None:
            decided = self.model.decision.answer(predictions, classes)
            columns[DECISION] = np.asarray(decided, dtype=object if classes else bool)
        return columns

    def _count(self, predictions: Predictions) -> None:
        self.rows += len(predictions)
        if self.model.classes:
            self.counts.update(map(str, predictions))
        else:
            self.total += float(predictions.sum())

    def _require_in_range(self, rows: pa.Table, predictions: Predictions) -> None:
        low, high = self.use_case.prediction_range
        is_invalid = outside_range(predictions, self.use_case.prediction_range)
        invalid_rows = np.any(is_invalid, axis=tuple(range(1, is_invalid.ndim)))
        if not invalid_rows.any():
            return
        keys = rows.select(self.spine.keys).slice(int(invalid_rows.argmax()), 1).to_pylist()[0]
        raise InvalidPrediction(
            f"{self.use_case.name} version {self.version}: {int(invalid_rows.sum())} of {len(rows)} "
            f"predictions are not from {low:g} to {high:g}, the first one for {', '.join(keys)} "
            f"{', '.join(map(str, keys.values()))}. "
            "Nothing was scored: check those rows, or roll the version back."
        )


def probability_columns(classes: Sequence[str | int]) -> list[str]:
    """
    Return the column of each class's probability, such as `_airworthy_probability_Iris-setosa`.

    A character that is no letter, digit, `_` or `-` becomes `_`, since tables do not take all of them. If two
    classes would share a column, all have the numbers of their positions instead: `_airworthy_probability_0`.
    """
    columns = [PROBABILITY + re.sub(r"[^\w-]", "_", str(name)) for name in classes]
    # SQL engines compare names without regard to case.
    if len({column.lower() for column in columns}) < len(columns):
        return [f"{PROBABILITY}{code}" for code in range(len(columns))]
    return columns


def _class_type(classes: Sequence[str | int]) -> pa.DataType:
    return pa.array(list(classes)).type
