"""Quality in production against the champion's evaluation."""

from __future__ import annotations

import json
from unittest.mock import create_autospec

import numpy as np
import pandas as pd
import pytest

from include.modeling.evaluation.bootstrap import UnitBootstrap
from include.modeling.evaluation.metrics import compute_metrics
from include.modeling.evaluation.metrics.resampled import metric_intervals
from include.modeling.registry.registry import Registry
from include.monitoring.label_quality import estimate_window, measure_quality
from include.monitoring.quality.maturity import DUE, LANDED
from include.monitoring.quality.promised import logged_intervals
from include.use_cases.flight_delay import USE_CASE

PROMISED = {"log_loss": (0.46, 0.54)}
ROWS = 1_400


def window(*, noise=0.0, spread=1.8, days=7, seed=0):
    """Return joined rows of some days; the share `noise` of the labels is independent of the prediction."""
    random = np.random.default_rng(seed)
    predictions = 1 / (1 + np.exp(-random.normal(0, spread, ROWS)))
    chances = np.where(random.random(ROWS) < noise, 0.5, predictions)
    return pd.DataFrame(
        {
            "_airworthy_prediction": predictions,
            "_airworthy_target": (random.random(ROWS) < chances).astype(float),
            "_airworthy_day": pd.to_datetime("2013-07-01", utc=True)
            + pd.to_timedelta(np.arange(ROWS) % days, "D"),
            LANDED: True,
        }
    )


def quality(rows, promised=None):
    return measure_quality(rows, USE_CASE, baseline=0.5, promised=PROMISED if promised is None else promised)


def test_quality_as_promised_is_good():
    result = quality(window())
    assert (result.outcome, result.promised) == ("good", (0.46, 0.54))
    assert result.interval[0] < result.figures["log_loss"] < result.interval[1]
    assert result.hindsight_skill == pytest.approx(result.skill, abs=0.02)


@pytest.mark.parametrize("days", [7, 1])
def test_quality_below_the_evaluation_is_lost(days):
    result = quality(window(noise=0.3, days=days))
    assert result.skill > 0, "it is still better than a constant"
    assert result.outcome == "lost"
    assert "in the evaluation 0.460 to 0.540: concept drift, since 0.4" in result.reason


def test_harder_rows_are_named_covariate_shift():
    result = quality(window(spread=0.7))
    assert result.outcome == "lost"
    assert "covariate shift, since 0.6" in result.reason


def test_quality_without_an_evaluation_is_judged_by_skill():
    assert quality(window(noise=0.3), promised={}).outcome == "good"
    assert quality(window(noise=0.3), promised={"rmse": (0.0, 1.0)}).interval is None


def test_quality_is_provisional_until_labels_are_due():
    rows = window().assign(**{DUE: np.arange(ROWS) < 1_000})
    rows.loc[1_200:, ["_airworthy_target", LANDED]] = [np.nan, False]
    result = quality(rows)
    assert (result.predictions, result.provisional) == (1_200, True)
    assert not quality(window()).provisional


def test_window_without_labels_has_an_estimate():
    newest = window(seed=1).assign(_airworthy_target=np.nan)
    estimated = estimate_window(USE_CASE, [newest, window(noise=0.3, seed=2)])
    assert estimated["roc_auc"] == pytest.approx(
        quality(window(noise=0.3, seed=3)).figures["roc_auc"], abs=0.04
    )
    assert estimate_window(USE_CASE, [newest.iloc[:0]]) == {}


def evaluated(rows):
    """Return the intervals of an evaluation on these rows."""
    target = rows["_airworthy_target"].to_numpy()
    predictions = rows["_airworthy_prediction"].to_numpy()
    units = UnitBootstrap.of_days(rows["_airworthy_day"]).or_rows()
    return metric_intervals(compute_metrics(USE_CASE, predictions, target), target, predictions, units)


def test_evaluation_of_one_day_raises_no_false_alarm():
    promised = evaluated(window(days=1, seed=100))
    outcomes = [quality(window(seed=seed), promised).outcome for seed in range(20)]
    assert outcomes == ["good"] * 20
    assert quality(window(noise=0.3), promised).outcome == "lost"


def test_point_that_was_logged_is_no_interval():
    registry = create_autospec(Registry, instance=True)
    registry.tags_of.return_value = {"airworthy.run_id": "r"}
    intervals = {"log_loss": [0.5, 0.5], "roc_auc": [0.6, 0.7]}
    registry.read_file.return_value = json.dumps({"intervals": intervals}).encode()
    assert logged_intervals(registry, "delay", 1) == {"roc_auc": (0.6, 0.7)}
