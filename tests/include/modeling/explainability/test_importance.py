from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from include.inference.model import Interface, ServedModel
from include.modeling.explainability.importance import importance, write_importance
from include.modeling.explainability.shapley import attribute, background
from include.modeling.packaging.package import load_package, model_digest
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY


@pytest.fixture
def served(packaged):
    return load_package(packaged, expected=model_digest(packaged))


def linear(flights, names=("distance", "hour", "pressure")):
    """Return a linear model of rows without holes, whose Shapley values are known exactly."""
    rows = flights(task="regression")
    rows = rows.fillna(rows.mean(numeric_only=True))
    model = LinearRegression().fit(rows[list(names)], rows["target"])
    columns = {name: "long" if name == "hour" else "double" for name in names}
    interface = Interface("air_time", "regression", columns, (0, 1000))
    return ServedModel(model, interface), rows


def test_the_features_that_matter_come_first(served, flights):
    found = importance(FLIGHT_DELAY, served, flights(seed=3))
    assert {each.feature for each in found[:2]} == {"hour", "wind_speed"}
    assert found[0].worse > 0.05
    assert {each.feature for each in found} == set(FLIGHT_DELAY.features)


def test_a_feature_that_the_model_does_not_look_at_has_no_importance(flights):
    model, rows = linear(flights)
    model.estimator.coef_[2] = 0.0
    use_case = AIR_TIME.model_copy(update={"features": model.features})
    found = {each.feature: each.worse for each in importance(use_case, model, rows)}
    assert found["pressure"] == 0.0
    assert found["distance"] > 10


def test_importance_of_one_class_is_nothing_and_no_error(served, flights):
    use_case = FLIGHT_DELAY.model_copy(update={"metric": "roc_auc"})
    found = importance(use_case, served, flights().assign(target=1))
    assert {each.worse for each in found} == {0.0}


def test_the_cost_does_not_grow_with_the_test(served, flights):
    asked = []

    class Counting:
        def predict_proba(self, frame):
            asked.append(len(frame))
            return served.estimator.predict_proba(frame)

    importance(FLIGHT_DELAY, ServedModel(Counting(), served.interface), flights(days=100))
    assert sum(asked) == 1_000 * (1 + 3 * len(FLIGHT_DELAY.features))


def test_figures_and_a_plot_are_written(served, flights, tmp_path):
    figures, plot = write_importance(FLIGHT_DELAY, served, flights(seed=3), tmp_path)
    content = json.loads(figures.read_text())
    assert (content["metric"], content["rows"]) == ("log_loss", 1000)
    assert content["importance"][0]["feature"] in {"hour", "wind_speed"}
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_base_and_contributions_add_up_to_the_prediction(packaged, served, flights):
    rows = flights(seed=9).head(3)
    found = attribute(served, background(packaged, served), rows)
    for each, prediction in zip(found, served.predict(rows), strict=True):
        assert each.prediction == prediction
        assert each.base + sum(each.contributions.values()) == pytest.approx(prediction, abs=1e-9)
    assert found[0].base == pytest.approx(served.predict(background(packaged, served)).mean())


def test_contributions_to_a_linear_model_are_those_of_the_textbook(flights):
    model, rows = linear(flights)
    usual, row = rows.head(100), rows.tail(1)
    (found,) = attribute(model, usual, row)
    for name, coefficient in zip(model.features, model.estimator.coef_, strict=True):
        expected = coefficient * (row[name].iloc[0] - usual[name].mean())
        assert found.contributions[name] == pytest.approx(expected, abs=1e-9)


def test_a_row_with_holes_and_an_unseen_category_is_explained_too(packaged, served, flights):
    row = flights(seed=9).head(1).assign(carrier="ZZ", temp=np.nan)
    (found,) = attribute(served, background(packaged, served), row)
    assert found.base + sum(found.contributions.values()) == pytest.approx(found.prediction, abs=1e-9)


def test_a_model_of_one_feature_is_explained(flights):
    model, rows = linear(flights, names=("distance",))
    (found,) = attribute(model, rows.head(50), rows.tail(1))
    assert found.base + found.contributions["distance"] == pytest.approx(found.prediction)
