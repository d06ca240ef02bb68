from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from include.declarations import Improvement, Threshold
from include.errors import ModelError
from include.modeling.evaluation.bootstrap import UnitBootstrap
from include.modeling.evaluation.comparison import paired_gain
from include.modeling.evaluation.metrics import compute_metrics, explain_undefined, skill_score
from include.modeling.evaluation.metrics.resampled import metric_intervals, resample_metric
from include.modeling.registry.source_files import source_digests
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY
from tests.include.modeling.evaluation.metrics import own_metrics

MODULE = own_metrics.__name__
ERROR = f"{MODULE}:weighted_error"
HITS = f"{MODULE}:hits"


def again(use_case, **fields):
    return type(use_case).model_validate({**dict(use_case), **fields})


@pytest.fixture
def scored():
    """Return target, a good and a bad model, and 6 days."""
    rng = np.random.default_rng(0)
    target = rng.normal(size=120)
    days = UnitBootstrap.of_days(np.arange(120) % 6)
    return target, target + rng.normal(size=120) / 10, target + rng.normal(size=120), days


def test_own_metric_is_measured_with_an_interval(scored):
    target, predictions, _, days = scored
    use_case = again(AIR_TIME, metric=ERROR, gates=(Improvement(metric=ERROR),))
    values = compute_metrics(use_case, predictions, target)
    assert values[ERROR] == pytest.approx(values["mae"])
    intervals = metric_intervals(values, target, predictions, days)
    assert intervals[ERROR] == pytest.approx(intervals["mae"])


def test_gain_has_the_direction_of_the_function(scored):
    target, good, bad, days = scored
    own = paired_gain(ERROR, target, good, bad, confidence=0.9, units=days)
    built_in = paired_gain("mae", target, good, bad, confidence=0.9, units=days)
    assert own.lower > 0
    assert (own.value, own.lower, own.upper) == pytest.approx(
        (built_in.value, built_in.lower, built_in.upper)
    )
    Threshold(metric=ERROR, maximum=-1)
    with pytest.raises(ValidationError, match="is better the greater it is"):
        Threshold(metric=HITS, maximum=1)


def test_resample_without_rows_of_a_slice_is_undefined(scored):
    target, predictions, _, days = scored
    one_day = days.codes == 2
    units = UnitBootstrap.of_days(days.codes)
    of_slice = replace(units, codes=units.codes[one_day])
    statistic = resample_metric(ERROR, target[one_day], predictions[one_day], of_slice)
    weights = np.zeros((2, 6))
    weights[0, 2] = 1
    error = np.abs(target - predictions)[one_day].mean()
    np.testing.assert_allclose(statistic(weights), [error, np.nan])


def test_own_metric_may_be_undefined_in_words():
    use_case = again(FLIGHT_DELAY, metrics=(HITS,))
    target = np.array([0.0, 0, 1])
    predictions = np.array([0.1, 0.7, 0.8])
    assert compute_metrics(use_case, predictions, target)[HITS] == pytest.approx(2 / 3)
    assert HITS not in compute_metrics(use_case, predictions[:2], target[:2])
    assert "no finite number" in explain_undefined(use_case, HITS, predictions[:2], target[:2])
    days = UnitBootstrap.of_days(np.array([0, 0, 1]))
    values = resample_metric(HITS, target, predictions, days)(np.array([[2.0, 0], [1, 2]]))
    assert values == pytest.approx([np.nan, 0.75], nan_ok=True)
    assert skill_score(HITS, {HITS: 0.9}, {HITS: 0.5}) is None


@pytest.mark.parametrize(("name", "cause"), [("failing", "KeyError: 'column'"), ("wordy", "ValueError")])
def test_own_metric_that_fails_is_named(name, cause):
    use_case = again(FLIGHT_DELAY, metrics=(f"{MODULE}:{name}",))
    with pytest.raises(ModelError, match=f"own_metrics:{name} of 2 rows failed: {cause}") as raised:
        compute_metrics(use_case, np.array([0.1, 0.7]), np.array([0.0, 1]))
    assert "Correct the function" in str(raised.value)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("include.nowhere:score", "include.nowhere cannot be imported"),
        (f"{MODULE}:nothing", "has no function nothing"),
        (f"{MODULE}:NUMBER", "has no function NUMBER"),
        (f"{MODULE}:unweighted", r"cannot be called as unweighted\(target, predictions, weights\)"),
        (f"{MODULE}:aimless", "set aimless.greater_is_better = True or False"),
    ],
)
def test_path_without_a_metric_is_an_import_error(path, problem):
    with pytest.raises(ValidationError, match=problem):
        again(FLIGHT_DELAY, metrics=(path,))


def test_module_of_an_own_metric_is_hashed():
    names = source_digests(again(AIR_TIME, metrics=(ERROR,))).keys() - source_digests(AIR_TIME).keys()
    assert names == {"tests/include/modeling/evaluation/metrics/own_metrics.py"}
