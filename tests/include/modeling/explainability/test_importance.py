from __future__ import annotations

import json

from include.declarations import Split
from include.inference.model import ServedModel
from include.modeling.explainability.importance import importance, write_importance
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY
from tests.include.modeling.explainability.conftest import linear


def test_important_features_come_first(served, flights):
    importances = importance(FLIGHT_DELAY, served, flights(seed=3))
    assert {item.feature for item in importances[:2]} == {"hour", "wind"}
    assert importances[0].worse > 0.05
    assert {item.feature for item in importances} == set(FLIGHT_DELAY.features)


def test_bounds_hold_the_importance_and_tell_noise_from_use(served, flights):
    importances = {item.feature: item for item in importance(FLIGHT_DELAY, served, flights(seed=3))}
    assert all(item.lower <= item.worse <= item.upper for item in importances.values())
    assert importances["hour"].lower > 0
    assert importances["visibility"].lower < 0 < importances["visibility"].upper


def test_rows_without_a_day_have_bounds(served, flights):
    undated = FLIGHT_DELAY.model_copy(update={"split": Split(by="entity")})
    rows = flights(seed=3).drop(columns="_airworthy_day")
    assert importance(undated, served, rows)[0].lower > 0


def test_unused_feature_has_no_importance(flights):
    model, rows = linear(flights)
    model.estimator.coef_[2] = 0.0
    use_case = AIR_TIME.model_copy(update={"features": model.features})
    losses = {item.feature: item.worse for item in importance(use_case, model, rows)}
    assert losses["pressure"] == 0.0
    assert losses["distance"] > 10


def test_importance_on_rows_of_one_class_is_zero(served, flights):
    use_case = FLIGHT_DELAY.model_copy(update={"metric": "roc_auc"})
    importances = importance(use_case, served, flights().assign(_airworthy_target=1))
    assert {item.worse for item in importances} == {0.0}


def test_cost_is_bounded(served, flights):
    n_rows = []

    class CountingEstimator:
        def predict_proba(self, frame):
            n_rows.append(len(frame))
            return served.estimator.predict_proba(frame)

    importance(FLIGHT_DELAY, ServedModel(CountingEstimator(), served.interface), flights(days=100))
    assert sum(n_rows) == 1_000 * (1 + 3 * len(FLIGHT_DELAY.features))


def test_figures_and_plot_are_written(served, flights, tmp_path):
    rows = flights(seed=3)
    importances = importance(FLIGHT_DELAY, served, rows)
    figures, plot = write_importance(FLIGHT_DELAY, importances, rows, tmp_path)
    content = json.loads(figures.read_text())
    assert (content["metric"], content["rows"]) == ("log_loss", 1000)
    assert content["importance"][0]["feature"] in {"hour", "wind"}
    assert plot.read_bytes().startswith(b"\x89PNG")
