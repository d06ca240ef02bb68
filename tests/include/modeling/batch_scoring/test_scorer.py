from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from include.catalog import catalog
from include.errors import DataError
from include.inference.predictions import InvalidPrediction
from include.modeling.batch_scoring.scorer import BatchScorer, probability_columns
from include.modeling.packaging.package import load_package, model_digest
from include.use_cases.flight_delay import USE_CASE
from tests.scored_frames import score_frame

SPINE = catalog().spine_of(USE_CASE)


@pytest.fixture
def model(packaged):
    return load_package(packaged, expected=model_digest(packaged))


def test_every_row_has_one_prediction(model, flights):
    frame = flights(days=2)
    scored = score_frame(USE_CASE, SPINE, model, frame, version=4)
    assert list(scored.columns) == [
        "flight_id",
        "station",
        "scheduled_departure",
        "_airworthy_day",
        "_airworthy_prediction",
        "_airworthy_version",
    ]
    assert scored["flight_id"].tolist() == frame["flight_id"].tolist()
    assert set(scored["_airworthy_version"]) == {4}


def test_predictions_do_not_depend_on_the_row_order(model, flights):
    frame = flights(days=2)
    scored = score_frame(USE_CASE, SPINE, model, frame, version=4).set_index("flight_id")
    reversed_rows = score_frame(USE_CASE, SPINE, model, frame[::-1], version=4).set_index("flight_id")
    np.testing.assert_array_equal(
        reversed_rows.loc[scored.index, "_airworthy_prediction"], scored["_airworthy_prediction"]
    )


def test_a_prediction_out_of_range_is_refused(model, flights):
    narrow = USE_CASE.model_copy(update={"prediction_range": (0, 0.01)})
    with pytest.raises(InvalidPrediction, match="flight_id 2013"):
        score_frame(narrow, SPINE, model, flights(days=2), version=4)


def test_no_rows_have_no_predictions(model, flights):
    scorer = BatchScorer(USE_CASE, SPINE, model, 4)
    rows = pa.Table.from_pandas(flights(days=1), preserve_index=False).slice(0, 0)
    scored = scorer.score(rows)
    assert (len(scored), scored.schema.names) == (0, scorer.schema.names)
    assert scorer.figures() == {"rows": 0, "version": 4}


def test_figures_are_those_of_all_batches(model, flights):
    scorer = BatchScorer(USE_CASE, SPINE, model, 4)
    rows = pa.Table.from_pandas(flights(days=2), preserve_index=False)
    parts = [scorer.score(rows.slice(0, 30)), scorer.score(rows.slice(30))]
    mean = pc.mean(pa.concat_tables(parts)["_airworthy_prediction"]).as_py()
    assert scorer.figures() == {"rows": len(rows), "version": 4, "mean": pytest.approx(mean)}


def test_a_missing_feature_is_named_in_the_error(model, flights):
    with pytest.raises(DataError, match="carrier"):
        score_frame(USE_CASE, SPINE, model, flights(days=2).drop(columns="carrier"), version=4)


@pytest.mark.parametrize(
    ("classes", "columns"),
    [
        (
            ("Iris-setosa", "so late", "ä"),
            [
                "_airworthy_probability_Iris-setosa",
                "_airworthy_probability_so_late",
                "_airworthy_probability_ä",
            ],
        ),
        ((1, 2, 3), ["_airworthy_probability_1", "_airworthy_probability_2", "_airworthy_probability_3"]),
        (
            ("a b", "a?b", "c"),
            ["_airworthy_probability_0", "_airworthy_probability_1", "_airworthy_probability_2"],
        ),
        (
            ("A", "a", "c"),
            ["_airworthy_probability_0", "_airworthy_probability_1", "_airworthy_probability_2"],
        ),
    ],
    ids=["texts", "integers", "same column", "same in SQL"],
)
def test_each_class_has_its_own_probability_column(classes, columns):
    assert probability_columns(classes) == columns
