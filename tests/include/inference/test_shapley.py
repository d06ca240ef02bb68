from __future__ import annotations

import numpy as np
import pytest

from include.inference.model import load_unverified
from include.inference.shapley import attribute, background
from tests.include.modeling.explainability.conftest import linear


@pytest.fixture
def served(packaged):
    return load_unverified(packaged)


def test_base_and_contributions_add_up_to_the_prediction(packaged, served, flights):
    rows = flights(seed=9).head(3)
    attributions = attribute(served, background(packaged, served), rows)
    for attribution, prediction in zip(attributions, served.predict(rows), strict=True):
        assert attribution.prediction == prediction
        assert attribution.base + sum(attribution.contributions.values()) == pytest.approx(
            prediction, abs=1e-9
        )
    assert attributions[0].base == pytest.approx(served.predict(background(packaged, served)).mean())


def test_contributions_to_a_linear_model_are_exact(flights):
    model, rows = linear(flights)
    background_rows = rows.head(100)
    row = rows.tail(1)
    (attribution,) = attribute(model, background_rows, row)
    for name, coefficient in zip(model.features, model.estimator.coef_, strict=True):
        expected = coefficient * (row[name].iloc[0] - background_rows[name].mean())
        assert attribution.contributions[name] == pytest.approx(expected, abs=1e-9)


def test_row_with_missing_and_unseen_values_is_explained(packaged, served, flights):
    row = flights(seed=9).head(1).assign(carrier="ZZ", temp=np.nan)
    (attribution,) = attribute(served, background(packaged, served), row)
    assert attribution.base + sum(attribution.contributions.values()) == pytest.approx(
        attribution.prediction, abs=1e-9
    )


def test_model_of_one_feature_is_explained(flights):
    model, rows = linear(flights, names=("distance",))
    (attribution,) = attribute(model, rows.head(50), rows.tail(1))
    assert attribution.base + attribution.contributions["distance"] == pytest.approx(attribution.prediction)
