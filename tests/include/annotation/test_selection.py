from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.annotation.selection import (
    measure_disagreement,
    measure_drift_of_rows,
    measure_uncertainty,
    select_rows,
)
from include.declarations import Column

CARRIER = Column(name="carrier", dtype="string")
DISTANCE = Column(name="distance", dtype="number")


def reference():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {"carrier": rng.choice(["AA", "UA"], 1_000), "distance": rng.uniform(100, 2_000, 1_000)}
    )


def test_a_probability_of_one_half_is_the_least_certain():
    scores = measure_uncertainty(np.array([0.0, 0.5, 0.9, 1.0]), "binary")
    assert scores == pytest.approx([0, 1, 0.2, 0])


def test_two_equally_probable_classes_are_uncertain():
    scores = measure_uncertainty(np.array([[1.0, 0, 0], [0.5, 0.5, 0], [0.5, 0.3, 0.2]]), "multiclass")
    assert scores == pytest.approx([0, 1, 0.8])


def test_a_number_does_not_say_how_certain_it_is():
    assert measure_uncertainty(np.array([1.0, 2.0]), "regression") is None


def test_disagreement_is_the_distance_of_two_predictions():
    assert measure_disagreement(np.array([0.1, 0.5]), np.array([0.9, 0.5])) == pytest.approx([0.8, 0])
    several = measure_disagreement(np.array([[1.0, 0, 0], [0, 1, 0]]), np.array([[0, 1.0, 0], [0, 1, 0]]))
    assert several == pytest.approx([1, 0])


@pytest.mark.parametrize(
    "planted", [{"distance": 9_999.0}, {"carrier": "ZZ"}, {"carrier": None}, {"distance": np.nan}]
)
def test_values_that_training_lacks_have_drifted_most(planted):
    current = reference().sample(100, random_state=1, ignore_index=True)
    for name, value in planted.items():
        current.loc[:4, name] = value
    scores = measure_drift_of_rows(reference(), current, [CARRIER, DISTANCE], {})
    assert set(np.argsort(-scores)[:5]) == set(range(5))
    assert scores[5:].max() < 1 < scores[:5].min()


def test_drift_of_an_unimportant_feature_counts_little():
    current = reference().sample(100, random_state=1, ignore_index=True)
    current.loc[0, "carrier"] = "ZZ"
    current.loc[1, "distance"] = 9_999.0
    scores = measure_drift_of_rows(
        reference(), current, [CARRIER, DISTANCE], {"carrier": 0.01, "distance": 1.0}
    )
    assert scores.argmax() == 1
    assert scores[0] < 1


def test_a_constant_feature_and_a_lacking_one_are_no_error():
    current = pd.DataFrame({"distance": [5.0, 5.0, 6.0]})
    scores = measure_drift_of_rows(
        pd.DataFrame({"carrier": ["AA"] * 50, "distance": [5.0] * 50}), current, [CARRIER, DISTANCE], {}
    )
    assert scores.argmax() == 2


def test_rules_choose_alternately_and_no_row_twice():
    scores = {"uncertain": np.array([0.9, 0.8, 0.0, 0.1]), "drifted": np.array([3.0, 0.0, np.nan, 1.0])}
    assert select_rows(scores, 3) == [(0, "uncertain"), (3, "drifted"), (1, "uncertain")]
    assert select_rows(scores, 10) == select_rows(scores, 3)


def test_without_scores_no_row_is_chosen():
    assert select_rows({}, 5) == []
    assert select_rows({"drifted": np.array([0.0, np.nan])}, 5) == []
