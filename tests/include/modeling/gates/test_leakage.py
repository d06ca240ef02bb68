from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.data.snapshots.leakage_history import LeakageRecord
from include.declarations import Leakage
from include.modeling.gates.leakage import _score
from tests.include.modeling.gates.conftest import minutes

GATE = Leakage(maximum=0.9)


def leaked(kind):
    """Return a way to hide the target in a feature of the rows."""

    def rows(frame):
        rng = np.random.default_rng(0)
        target = frame["target"].to_numpy()
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
def test_a_feature_that_knows_the_target_is_named_with_what_it_reaches(verdict_of, kind):
    found = verdict_of(GATE, rows=leaked(kind))
    assert found.outcome == "fail"
    assert f"{'carrier' if kind == 'category' else 'temp'} (" in found.reason
    assert "1140 test rows" in found.reason


def test_honest_features_are_not_too_good(verdict_of):
    found = verdict_of(GATE)
    assert (found.outcome, "the best single feature, hour, reaches 0." in found.reason) == ("pass", True)


def test_as_good_as_allowed_passes(verdict_of):
    best = verdict_of(GATE).figures["hour"]
    assert verdict_of(Leakage(maximum=best)).outcome == "pass"
    assert verdict_of(Leakage(maximum=best - 1e-6)).outcome == "fail"


def test_a_feature_that_is_known_to_be_that_good_is_exempt(verdict_of):
    assert verdict_of(GATE, minutes, task="regression").outcome == "fail"
    exempt = verdict_of(Leakage(maximum=0.9, exempt=("distance",)), minutes, task="regression")
    assert (exempt.outcome, "and it is exempt" in exempt.reason) == ("pass", True)


def test_one_class_only_cannot_be_judged(verdict_of):
    found = verdict_of(GATE, rows=lambda frame: frame.assign(target=0))
    assert found.outcome == "inconclusive"


def test_a_key_tells_nothing_of_rows_that_were_not_there():
    keys = pd.Series([f"k{n}" for n in range(100)])
    known, target = np.arange(100.0) % 2, np.arange(100.0) % 2
    assert _score("binary", keys, keys + "x", known, target) == 0.5


LEAK = "temp leaks from weather in 12 rows, such as UA 1: it is 3.0"


def test_days_that_passed_the_check_of_their_view_are_counted(verdict_of):
    found = verdict_of(GATE, leakage=LeakageRecord("flight_features", passed=31))
    assert (found.outcome, found.figures["days_checked"], found.figures["days_unchecked"]) == ("pass", 31, 0)
    assert found.reason.startswith("all 31 days of flight_features passed their own check; the best single")


def test_a_feature_that_did_not_pass_the_check_of_its_view_is_named(verdict_of):
    found = verdict_of(GATE, leakage=LeakageRecord("flight_features", passed=30, leaks={"temp": LEAK}))
    assert found.outcome == "fail"
    assert f"flight_features did not pass its own check: {LEAK}; the best single" in found.reason


def test_a_leak_of_a_feature_that_the_model_does_not_use_is_told_and_harmless(verdict_of):
    found = verdict_of(GATE, leakage=LeakageRecord("flight_features", passed=30, leaks={"dewp": LEAK}))
    assert (found.outcome, "only dewp of flight_features leaks" in found.reason) == ("pass", True)


def test_days_that_nobody_checked_leave_it_open_and_are_named(verdict_of):
    unchecked = LeakageRecord("flight_features", 29, 2, ("2013-01-03", "2013-01-31"))
    found = verdict_of(GATE, leakage=unchecked)
    assert found.outcome == "inconclusive"
    assert "2 days of flight_features (2013-01-03, 2013-01-31) were published without" in found.reason
    assert verdict_of(GATE, rows=leaked("number"), leakage=unchecked).outcome == "fail"


def test_evidence_that_never_asked_leaves_it_open(verdict_of):
    found = verdict_of(GATE, leakage=None)
    assert (found.outcome, "clear `evaluate`" in found.reason) == ("inconclusive", True)
