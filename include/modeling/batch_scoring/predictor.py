"""Predictions for tables of any size, by the fastest way that answers exactly as the estimator does."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.data.lake.dtypes import to_frame
from include.feature_values import may_be_missing, require_complete
from include.inference.predictions import prediction_gap
from include.inference.twin.encoder import CategoryColumn, TwinRefusal

if TYPE_CHECKING:
    import numpy.typing as npt

    from include.inference.model import ServedModel
    from include.inference.twin.encoder import Encoder

    Matrix = npt.NDArray[np.float64]

# Rows of the first table that both ways predict; if they differ, only the estimator is used.
COMPARED_ROWS = 500
# Numbers in a matrix, 128 MB: of many one-hot columns, fewer rows are encoded at once.
MAX_CELLS = 1 << 24
_log = logging.getLogger(__name__)


class TablePredictor:
    """
    Predicts tables of one model.

    If the package has a compiled twin, its tables encode the rows, a column at a time, and the final step of
    the estimator predicts them: that takes less time than the estimator's own transformers, and, for many
    rows, than the twin's own trees (docs/performance.md). On the first table this is compared with the
    estimator, which predicts whatever the tables refuse.
    """

    def __init__(self, model: ServedModel) -> None:
        self._model = model
        self._encoder = model.twin.encoder if model.twin is not None else None
        self._is_compared = False

    def predict(self, rows: pa.Table) -> Matrix:
        """
        Return the predictions of rows with all features (n), as `ServedModel.predict` does.

        Raises
        ------
        DataError
            If a value of a feature is missing that was never missing in training.
        """
        _require_complete(rows, self._model)
        if not rows.num_rows:
            n_classes = len(self._model.classes)
            return np.zeros((0, n_classes) if n_classes else 0)
        if self._encoder is not None and not self._is_compared:
            self._is_compared = True
            self._compare(self._encoder, rows.slice(0, COMPARED_ROWS))
        if self._encoder is not None:
            try:
                return self._predict_encoded(self._encoder, rows)
            except TwinRefusal:
                pass
        return self._predict_frame(rows)

    def _predict_frame(self, rows: pa.Table) -> Matrix:
        return self._model.predict(to_frame(rows.select(list(self._model.features))))

    def _predict_encoded(self, encoder: Encoder, rows: pa.Table) -> Matrix:
        final = _final_step(self._model.estimator)
        n_rows = max(1, MAX_CELLS // encoder.width)
        parts = []
        for start in range(0, rows.num_rows, n_rows):
            matrix = encode_table(encoder, rows.slice(start, n_rows))
            parts.append(self._model.predictions_of(final, matrix))
        return np.concatenate(parts)

    def _compare(self, encoder: Encoder, rows: pa.Table) -> None:
        """Stop using the tables unless they lead to the predictions of the estimator."""
        expected = self._predict_frame(rows)
        try:
            with warnings.catch_warnings():
                # An estimator that was fitted with names of columns wants them.
                warnings.simplefilter("error")
                predictions = self._predict_encoded(encoder, rows)
        # A refusal, or an estimator that takes no matrix.
        except Exception as error:  # noqa: BLE001  foreign estimators
            reason = f"{type(error).__name__}: {error}"
        else:
            gap, allowed = prediction_gap(expected, predictions)
            if gap <= allowed:
                return
            reason = f"predictions differ by {gap:.3g}"
        self._encoder = None
        _log.info("The estimator encodes the rows itself: %s", reason)


def encode_table(encoder: Encoder, rows: pa.Table) -> Matrix:
    """
    Return the matrix that `Encoder.encode` returns for the rows of a table, float64 (n, n_columns).

    Each distinct value is looked up once.

    Raises
    ------
    TwinRefusal
        If the estimator may refuse a value.
    """
    encoded = {column.name: _encode_column(column, rows[column.name]) for column in encoder.columns}
    return encoder.assemble([encoded[column.name] for column in encoder.columns], rows.num_rows)


def _encode_column(column: Any, values: pa.ChunkedArray) -> Matrix:
    """Return the numbers of a column, (n,) or (n, width)."""
    if not isinstance(column, CategoryColumn):
        numbers = values.cast(pa.float64(), safe=False)
        return np.asarray(column.encode(numbers.to_numpy()))
    dictionary = values.combine_chunks().dictionary_encode()
    distinct = dictionary.dictionary.to_pylist()
    if dictionary.null_count:
        distinct.append(None)
    codes = pc.fill_null(dictionary.indices, len(distinct) - 1).to_numpy()
    table: Matrix = np.asarray(column.encode(distinct), dtype=np.float64)
    encoded: Matrix = table[codes]
    return encoded


def _final_step(estimator: Any) -> Any:
    """Return the final estimator of a pipeline, which may be nested."""
    while type(estimator).__name__ == "Pipeline":
        estimator = estimator.steps[-1][1]
    return estimator


def _require_complete(rows: pa.Table, model: ServedModel) -> None:
    """Raise DataError if a value is missing that was never missing in training; most estimators do not."""
    missing = {
        name: kind
        for name, kind in model.columns.items()
        if not may_be_missing(kind) and pc.any(pc.is_null(rows[name], nan_is_null=True)).as_py()
    }
    if missing:
        require_complete(to_frame(rows.select(list(missing))), missing)
