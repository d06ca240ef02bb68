from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.data.snapshots.leakage_history import LeakageRecord
from include.declarations import Leakage
from include.modeling.gates.leakage import score_feature
from tests.include.modeling.gates.conftest import minutes

GATE = Leakage(maximum=0.9)


def leaked(kind):
    """Return a function that hides the target in a feature of the rows."""

    def rows(frame):
        rng = np.random.default_rng(0)
        target = frame["_airworthy_target"].to_numpy()
        hidden = {
            "number": target + rng.normal(0, 0.01, len(frame)),
            "category": np.where(target == 1, "L", "E"),
            "bent": np.where(
                target == 1, rng.normal(0, 0.1, len(frame)), rng.choice([-5.0, 5.0], len(frame))
            ),
            "missing": np.where(target == 1, np.nan, rng.normal(size=len(frame))),
        }[kind]
        return frame.assign(**{"carrier" if kind == "category" else "temp": hidden})

    return rows


@pytest.mark.parametrize("kind", ["number", "category", "bent", "missing"])
def test_feature_that_knows_the_target_is_named(verdict_of, kind):
    verdict = verdict_of(GATE, rows=leaked(kind))
    assert verdict.outcome == "fail"
    assert f"{'carrier' if kind == 'category' else 'temp'} (" in verdict.reason
    assert "1140 test rows" in verdict.reason


def test_features_without_a_leak_pass(verdict_of):
    verdict = verdict_of(GATE)
    assert (verdict.outcome, "the best single feature, hour, reaches 0." in verdict.reason) == ("pass", True)


def test_score_at_the_maximum_passes(verdict_of):
    best = verdict_of(GATE).figures["hour"]
    assert verdict_of(Leakage(maximum=best)).outcome == "pass"
    assert verdict_of(Leakage(maximum=best - 1e-6)).outcome == "fail"


def test_exempt_feature_passes(verdict_of):
    assert verdict_of(GATE, minutes, task="regression").outcome == "fail"
    exempt = verdict_of(Leakage(maximum=0.9, exempt=("distance",)), minutes, task="regression")
    assert (exempt.outcome, "and it is exempt" in exempt.reason) == ("pass", True)


def test_rows_of_one_class_are_inconclusive(verdict_of):
    verdict = verdict_of(GATE, rows=lambda frame: frame.assign(_airworthy_target=0))
    assert verdict.outcome == "inconclusive"


def test_score_of_unseen_keys_is_chance():
    keys = pd.Series([f"k{n}" for n in range(100)])
    target = np.arange(100.0) % 2
    assert score_feature("binary", keys, keys + "x", target, target) == 0.5


LEAK = "temp leaks from weather in 12 rows, such as UA 1: it is 3.0"


def test_days_that_passed_their_check_are_counted(verdict_of):
    verdict = verdict_of(GATE, leakage=LeakageRecord("flight_features", passed=31))
    assert (verdict.outcome, verdict.figures["days_checked"], verdict.figures["days_unchecked"]) == (
        "pass",
        31,
        0,
    )
    assert verdict.reason.startswith("all 31 days of flight_features passed their own check; the best single")


def test_feature_that_failed_its_check_is_named(verdict_of):
    verdict = verdict_of(GATE, leakage=LeakageRecord("flight_features", passed=30, leaks={"temp": LEAK}))
    assert verdict.outcome == "fail"
    assert f"flight_features did not pass its own check: {LEAK}; the best single" in verdict.reason


def test_leak_of_an_unused_feature_passes_and_is_reported(verdict_of):
    verdict = verdict_of(GATE, leakage=LeakageRecord("flight_features", passed=30, leaks={"dewp": LEAK}))
    assert (verdict.outcome, "only dewp of flight_features leaks" in verdict.reason) == ("pass", True)


def test_unchecked_days_are_inconclusive_and_named(verdict_of):
    unchecked = LeakageRecord("flight_features", 29, 2, ("2013-01-03", "2013-01-31"))
    verdict = verdict_of(GATE, leakage=unchecked)
    assert verdict.outcome == "inconclusive"
    assert "2 days of flight_features (2013-01-03, 2013-01-31) were published without" in verdict.reason
    assert verdict_of(GATE, rows=leaked("number"), leakage=unchecked).outcome == "fail"


def test_rows_without_dates_cannot_be_checked_for_time(verdict_of):
    verdict = verdict_of(GATE, leakage=LeakageRecord("customers", undated=True))
    assert verdict.outcome == "pass"
    assert "nothing in customers is dated" in verdict.reason


def test_missing_leakage_record_is_inconclusive(verdict_of):
    verdict = verdict_of(GATE, leakage=None)
    assert (verdict.outcome, "clear `evaluate`" in verdict.reason) == ("inconclusive", True)


def test_feature_that_gives_away_one_class_of_several_is_found():
    random = np.random.default_rng(0)
    target = random.integers(0, 3, 3_000).astype(float)
    revealing = pd.Series(np.where(target == 2, 1.0, random.normal(size=3_000)))
    chance = pd.Series(random.normal(size=3_000))
    halves = slice(0, 1_500), slice(1_500, None)
    train, test = (target[half] for half in halves)
    scores = [
        score_feature("multiclass", feature[halves[0]], feature[halves[1]], train, test)
        for feature in (revealing, chance)
    ]
    assert scores[0] > 0.98
    assert scores[1] < 0.6
    few = test.copy()
    few[:] = 0
    few[:20] = 2
    assert score_feature("multiclass", revealing[halves[0]], revealing[halves[1]], train, few) is None
