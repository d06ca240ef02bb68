from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from include.errors import DataError
from include.inference.twin.encoder import CategoryColumn, Encoder, NumberColumn, TwinRefusal
from include.modeling.batch_scoring import predictor
from include.modeling.batch_scoring.predictor import TablePredictor, encode_table
from include.modeling.packaging.package import load_package, model_digest

COLUMNS = {
    "carrier": ["UA", None, "AA", "UA"],
    "is_late": [True, None, False, True],
    "hour": [1, 2, 3, None],
    "wind": [0.5, None, float("nan"), 2.0],
}
ENCODER = Encoder(
    (
        CategoryColumn("carrier", {"UA": (1.0, 0.0), "AA": (0.0, 1.0)}, (0.0, 0.0), (9.0, 9.0), 2),
        NumberColumn("is_late"),
        NumberColumn("hour", (("fill", 7.0), ("multiply", 2.0))),
        NumberColumn("wind"),
    )
)


@pytest.fixture
def model(packaged):
    return load_package(packaged, expected=model_digest(packaged))


@pytest.fixture
def rows(flights):
    return pa.Table.from_pandas(flights(days=2), preserve_index=False)


def test_table_is_encoded_as_the_rows_of_a_request():
    expected = ENCODER.encode(COLUMNS, 4)
    np.testing.assert_array_equal(encode_table(ENCODER, pa.table(COLUMNS)), expected)
    in_chunks = pa.concat_tables([pa.table(COLUMNS).slice(0, 1), pa.table(COLUMNS).slice(1)])
    np.testing.assert_array_equal(encode_table(ENCODER, in_chunks), expected)


def test_value_that_the_estimator_refuses_is_refused():
    strict = Encoder((CategoryColumn("carrier", {"UA": (1.0,), "AA": (2.0,)}, None, None, 1),))
    with pytest.raises(TwinRefusal, match="carrier"):
        encode_table(strict, pa.table(COLUMNS))
    complete = pa.table({"carrier": ["AA", "UA"]})
    np.testing.assert_array_equal(encode_table(strict, complete), [[2.0], [1.0]])


def test_encoded_rows_are_predicted_as_by_the_estimator(model, rows, monkeypatch, caplog):
    monkeypatch.setattr(predictor, "MAX_CELLS", 100)
    expected = model.predict(rows.to_pandas())
    with caplog.at_level(logging.INFO):
        predictions = TablePredictor(model).predict(rows)
    np.testing.assert_array_equal(predictions, expected)
    assert not caplog.messages


def test_refused_rows_are_predicted_by_the_estimator(model, rows):
    first = TablePredictor(model)
    first.predict(rows)
    first._encoder = Encoder((CategoryColumn("carrier", {}, None, None, 1),))
    np.testing.assert_array_equal(first.predict(rows), model.predict(rows.to_pandas()))


@pytest.mark.parametrize(
    "columns",
    [(NumberColumn("hour"),), (CategoryColumn("carrier", {}, (0.0,), (0.0,), 1),)],
    ids=["another column", "another width"],
)
def test_tables_that_lead_elsewhere_are_not_used(model, rows, caplog, columns):
    other = replace(model, twin=replace(model.twin, encoder=Encoder(columns)))
    with caplog.at_level(logging.INFO):
        predictions = TablePredictor(other).predict(rows)
    np.testing.assert_array_equal(predictions, model.predict(rows.to_pandas()))
    assert caplog.messages[0].startswith("The estimator encodes the rows itself")


def test_model_without_a_twin_is_predicted_by_the_estimator(model, rows):
    bare = replace(model, twin=None)
    np.testing.assert_array_equal(TablePredictor(bare).predict(rows), model.predict(rows.to_pandas()))


def test_missing_value_is_refused_as_in_a_request(model, rows):
    position = rows.column_names.index("hour")
    gaps = rows.set_column(position, "hour", pa.array([None, *rows["hour"].to_pylist()[1:]]))
    with pytest.raises(DataError, match="hour in 1 of"):
        TablePredictor(model).predict(gaps)
