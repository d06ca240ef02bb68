from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from include.database.ledger import ledger_entries
from include.database.tables import monitoring_result
from include.declarations import RetrainPolicy
from include.monitoring.governor import (
    PastCheck,
    Signals,
    decide,
    figures_as_json,
    past_checks,
    record_check,
)

NOW = datetime(2026, 1, 30, 12, tzinfo=UTC)
POLICY = RetrainPolicy(k=2, n=3, cooldown=timedelta(days=1), budget_per_month=2, minimum_new_labels=1)
CALM = Signals(version=2, drift="no_drift", quality="good", new_labelled_rows=500)
DRIFT = replace(CALM, drift="drift", quality="inconclusive")


def check(hours, *fired, action="nothing", version=2, unobservable=False):
    return PastCheck(NOW - timedelta(hours=hours), version, action, fired, unobservable)


def action(signals, *checks, policy=POLICY):
    return decide(signals, policy, checks, NOW).action


def test_nothing_is_decided_without_a_signal():
    decision = decide(CALM, POLICY, [check(1, "drift")], NOW)
    assert (decision.action, decision.reason) == ("nothing", "no signal fired")


def test_one_signal_alone_does_not_retrain():
    decision = decide(DRIFT, POLICY, [], NOW)
    assert decision.action == "nothing"
    assert "drift fired, 2 of 3 are needed" in decision.reason


def test_what_is_unknown_is_named_and_alerts_when_it_stays():
    unseeing = replace(CALM, quality="inconclusive", unknown=("quality and labels: MLflow does not answer",))
    first = decide(unseeing, POLICY, [], NOW)
    assert (first.action, first.evidence["unobservable"]) == ("nothing", True)
    assert first.reason == "no signal fired; not known: quality and labels: MLflow does not answer"
    again = decide(unseeing, POLICY, [check(1, unobservable=True)], NOW)
    assert (again.action, "MLflow does not answer" in again.reason) == ("alert", True)
    assert action(CALM, check(1, unobservable=True)) == "nothing"


def test_drift_with_unknown_labels_asks_a_person():
    unseeing = replace(DRIFT, unknown=("quality and labels: the lake is away",))
    decision = decide(unseeing, POLICY, [check(1, "drift")], NOW)
    assert (decision.action, "the lake is away" in decision.reason) == ("alert", True)


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        ([check(1, "drift")], "retrain"),
        ([check(1), check(2, "drift")], "retrain"),
        ([check(1), check(2), check(3, "drift")], "nothing"),
        ([check(1, "quality")], "nothing"),
        ([check(1, "drift", version=1)], "nothing"),
        ([check(30, action="retrain"), check(31, "drift")], "nothing"),
        ([check(29, "drift"), check(30, action="retrain")], "retrain"),
    ],
    ids=["two of two", "two of three", "too long ago", "two different signals", "another version's",
         "before the last retraining", "after the last retraining"],
)  # fmt: skip
def test_drift_in_k_of_the_last_n_checks_retrains(checks, expected):
    assert action(DRIFT, *checks) == expected
    assert action(DRIFT, *reversed(checks)) == expected


def test_lost_quality_retrains():
    decision = decide(replace(CALM, quality="lost"), POLICY, [check(1, "quality")], NOW)
    assert (decision.action, decision.reason) == ("retrain", "quality in 2 of 2 checks")


def test_signal_that_is_over_does_not_retrain():
    assert action(CALM, check(1, "drift"), check(2, "drift")) == "nothing"


def test_retraining_waits_for_the_cooldown():
    checks = [check(1, "drift"), check(2, "drift"), check(22, action="retrain")]
    decision = decide(DRIFT, POLICY, checks, NOW)
    assert decision.action == "nothing"
    assert "cooling down" in decision.reason
    assert "cooling down until 2026-01-30 14:00" in decision.reason
    # A run may come a little early.
    for hours in (23.5, 24):
        assert action(DRIFT, *checks[:2], check(hours, action="retrain")) == "retrain"


def test_drift_without_new_labels_alerts():
    decision = decide(replace(DRIFT, new_labelled_rows=0), POLICY, [check(1, "drift")], NOW)
    assert decision.action == "alert"
    assert "retraining would not help" in decision.reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"upstream_fault": "flights 2026-01-29 failed its checks"}, "flights 2026-01-29 failed its checks"),
        ({"new_labelled_rows": 99}, "99 labelled rows since the champion's snapshot, 100 are needed"),
    ],
    ids=["upstream fault", "too few labels"],
)
def test_retraining_that_would_not_help_alerts(changes, reason):
    decision = decide(replace(DRIFT, **changes), RetrainPolicy(), [check(1, "drift")], NOW)
    assert decision.action == "alert"
    assert f"retraining would not help: {reason}" in decision.reason


@pytest.mark.parametrize("quality", ["good", "lost"])
def test_faulty_data_alert_whatever_the_quality(quality):
    signals = replace(DRIFT, quality=quality, data_fault="temp: stuck", causes=("data fault",))
    decision = decide(signals, POLICY, [check(1, "drift")], NOW)
    assert decision.action == "alert"
    expected = (
        "drift in 2 of 2 checks (data fault); retraining would not help: the data look faulty: temp: stuck"
    )
    assert decision.reason == expected
    assert action(replace(signals, drift="no_drift", quality="good")) == "nothing"


def test_labels_that_stopped_coming_alert():
    late = replace(CALM, late_labels="labels stopped coming: 0%")
    assert action(late) == "nothing"
    decision = decide(late, POLICY, [check(1, "labels")], NOW)
    assert (decision.action, decision.reason) == (
        "alert", "labels in 2 of 2 checks; labels stopped coming: 0%",
    )  # fmt: skip
    assert action(CALM, check(1, "labels"), check(2, "labels")) == "nothing"


def test_retrainings_in_vain_alert():
    policy = RetrainPolicy(k=1, n=1, budget_per_month=9)
    in_vain = [check(24 * day, action="retrain") for day in (2, 4, 6)]
    assert action(DRIFT, *in_vain[:2], policy=policy) == "retrain"
    assert action(DRIFT, *in_vain, policy=policy) == "alert"
    others = [replace(past_check, version=1) for past_check in in_vain]
    assert action(DRIFT, *others, policy=policy) == "retrain"


def test_drift_without_loss_does_not_retrain():
    decision = decide(replace(DRIFT, quality="good"), POLICY, [check(1, "drift")], NOW)
    assert decision.action == "nothing"
    assert "label quality is good: retraining would not help" in decision.reason
    assert action(replace(DRIFT, quality="lost"), check(1, "drift")) == "retrain"


def test_training_that_waits_or_runs_is_not_started_again():
    decision = decide(replace(DRIFT, trainings=1), POLICY, [check(1, "drift")], NOW)
    assert (decision.action, "waits or runs already" in decision.reason) == ("nothing", True)


def week(end, **changes):
    """Return the window of the week that ended `end` hours ago, and a check of it in which drift fired."""
    until = NOW - timedelta(hours=end)
    window = (until - timedelta(days=7), until)
    return window, replace(check(end, "drift"), window=window, **changes)


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ((1 / 60,), "nothing"),
        ((24, 48, 72), "nothing"),
        ((24, 24 * 7), "retrain"),
        ((24 * 7 - 1,), "retrain"),
    ],
    ids=["a minute apart", "daily checks", "a week ago", "an hour early"],
)
def test_overlapping_windows_count_once(hours, expected):
    signals = replace(DRIFT, window=week(0)[0])
    assert action(signals, *(week(hour)[1] for hour in hours)) == expected


def test_check_of_a_past_window_changes_nothing():
    decision = decide(DRIFT, POLICY, [check(1, "drift"), check(-1)], NOW)
    assert decision.action == "nothing"
    assert "it would be retrain: drift in 2 of 2 checks" in decision.reason


def test_used_up_budget_alerts():
    spent = [check(24 * day, action="retrain") for day in (9, 19)]
    assert action(DRIFT, check(1, "drift"), *spent) == "alert"
    assert action(DRIFT, check(1, "drift"), spent[0], check(24 * 31, action="retrain")) == "retrain"


def test_repeated_unobservable_checks_alert():
    signals = replace(CALM, drift="inconclusive", quality="inconclusive")
    assert action(signals) == "nothing"
    assert action(signals, check(1, unobservable=True)) == "alert"
    assert action(replace(signals, quality="good"), check(1, unobservable=True)) == "nothing"


SIGNALS = st.builds(
    Signals,
    version=st.just(2),
    drift=st.sampled_from(["drift", "no_drift", "inconclusive"]),
    quality=st.sampled_from(["good", "lost", "inconclusive"]),
    new_labelled_rows=st.integers(0, 2),
)


@given(st.lists(SIGNALS, max_size=120), st.integers(1, 12))
def test_any_signals_keep_cooldown_and_budget(run, hours):
    done = []
    retrained = []
    for number, signals in enumerate(run):
        now = NOW + number * timedelta(hours=hours)
        decision = decide(signals, POLICY, done, now)
        assert decision.reason
        done.append(PastCheck(now, 2, decision.action, signals.fired, signals.unobservable))
        if decision.action == "retrain":
            assert signals.fired
            assert signals.new_labelled_rows > 0
            assert all(now - earlier >= timedelta(hours=23) for earlier in retrained)
            retrained.append(now)
            assert sum(now - earlier < timedelta(days=30) for earlier in retrained) <= POLICY.budget_per_month


def recorded(database, decision, run="run-1", use_case="delay", **figures):
    window = (NOW - timedelta(days=7), NOW)
    return record_check(database, use_case, decision, run=run, window=window, figures=figures)


def read_back(database, use_case="delay"):
    with database.connect() as connection:
        checks = past_checks(connection, use_case, now=datetime.now(UTC))
        return (checks, ledger_entries(connection, use_case))


def test_decision_is_recorded_with_its_evidence(database):
    recorded(database, decide(DRIFT, POLICY, [], NOW), share=float("nan"))
    checks, ledger = read_back(database)
    (past_check,) = checks
    assert (past_check.version, past_check.action) == (2, "nothing")
    assert (past_check.fired, past_check.unobservable) == (("drift",), False)
    (entry,) = ledger
    assert (entry["event"], entry["version"], entry["actor"]) == ("decided", 2, "monitoring")
    assert entry["evidence"]["drift"] == "drift"
    assert decide(DRIFT, POLICY, checks, datetime.now(UTC)).action == "retrain"


def test_repeated_run_keeps_its_first_decision(database):
    first = recorded(database, decide(DRIFT, POLICY, [check(1, "drift")], NOW))
    second = recorded(database, decide(CALM, POLICY, [], NOW))
    assert first.action == "retrain"
    assert second == first
    checks, ledger = read_back(database)
    assert (len(checks), len(ledger)) == (1, 1)


def test_same_run_id_of_two_use_cases_is_two_runs(database):
    for use_case in ("delay", "minutes"):
        recorded(database, decide(CALM, POLICY, [], NOW), use_case=use_case)
    assert len(read_back(database)[0]) == len(read_back(database, "minutes")[0]) == 1


@dataclass(frozen=True)
class Figures:
    share: float
    moments: tuple[datetime, ...]


def test_figures_are_recorded_as_json(database):
    figures = Figures(np.float64("nan"), (datetime(2026, 1, 1, tzinfo=UTC),))
    recorded(
        database,
        decide(CALM, POLICY, [], NOW),
        drift=figures,
        array=np.array([1, 2]),
        number=np.int64(3),
        nan=np.float32("nan"),
        infinite=float("inf"),
        day=date(2013, 7, 1),
        duration=timedelta(minutes=1),
    )
    with database.connect() as connection:
        written = connection.execute(select(monitoring_result.c.figures)).scalar_one()
    del written["decision"]
    assert written == {
        "drift": {"share": None, "moments": ["2026-01-01T00:00:00Z"]},
        "array": [1, 2],
        "number": 3,
        "nan": None,
        "infinite": None,
        "day": "2013-07-01",
        "duration": 60,
    }


JSON = st.none() | st.floats() | st.integers() | st.text()


@given(st.recursive(JSON, lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_any_figures_are_valid_json(value):
    json.dumps(figures_as_json({"value": value}), allow_nan=False)


def test_figures_of_an_unknown_type_are_an_error():
    with pytest.raises(TypeError, match="object cannot be written"):
        figures_as_json({"value": object()})
