from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.database.ledger import ledger_entries
from include.declarations import RetrainPolicy
from include.monitoring.governor import PastCheck, Signals, decide, past_checks, record_check

NOW = datetime(2026, 1, 30, 12, tzinfo=UTC)
POLICY = RetrainPolicy(k=2, n=3, cooldown=timedelta(days=1), budget_per_month=2)
CALM = Signals(version=2, drift="no_drift", quality="good", service="met", new_labelled_rows=500)
DRIFT = replace(CALM, drift="drift")


def check(hours, *fired, action="nothing", version=2, blind=False):
    return PastCheck(NOW - timedelta(hours=hours), version, action, fired, blind)


def action(signals, *checks, policy=POLICY):
    return decide(signals, policy, checks, NOW).action


def test_nothing_is_decided_while_all_is_well():
    decision = decide(CALM, POLICY, [check(1, "drift")], NOW)
    assert (decision.action, decision.reason) == ("nothing", "no signal fired")


def test_one_alarm_alone_is_waited_out():
    decision = decide(DRIFT, POLICY, [], NOW)
    assert decision.action == "nothing"
    assert "drift fired, 2 of 3 are needed" in decision.reason


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
    ids=["twice running", "twice of three", "too long ago", "two different signals", "another version's",
         "before the last retraining", "after the last retraining"],
)  # fmt: skip
def test_drift_retrains_when_it_is_there_in_k_of_the_last_n_checks(checks, expected):
    assert action(DRIFT, *checks) == expected
    assert action(DRIFT, *reversed(checks)) == expected


def test_lost_quality_retrains_too():
    decision = decide(replace(CALM, quality="lost"), POLICY, [check(1, "quality")], NOW)
    assert (decision.action, decision.reason) == ("retrain", "quality in 2 of 2 checks")


def test_a_signal_that_is_over_does_not_retrain():
    assert action(CALM, check(1, "drift"), check(2, "drift")) == "nothing"


def test_a_retraining_cools_down_before_the_next():
    checks = [check(1, "drift"), check(2, "drift"), check(23, action="retrain")]
    decision = decide(DRIFT, POLICY, checks, NOW)
    assert decision.action == "nothing"
    assert "cooling down" in decision.reason
    assert action(DRIFT, *checks[:2], check(24, action="retrain")) == "retrain"


def test_retraining_would_not_help_without_new_labels():
    decision = decide(replace(DRIFT, new_labelled_rows=0), POLICY, [check(1, "drift")], NOW)
    assert decision.action == "alert"
    assert "retraining would not help" in decision.reason


def test_the_months_budget_is_kept_and_then_a_person_is_told():
    spent = [check(24 * day, action="retrain") for day in (9, 19)]
    assert action(DRIFT, check(1, "drift"), *spent) == "alert"
    assert action(DRIFT, check(1, "drift"), spent[0], check(24 * 31, action="retrain")) == "retrain"


def test_a_promise_broken_soon_after_a_promotion_goes_back():
    signals = replace(CALM, service="broken", promoted_at=NOW - timedelta(hours=2), previous=1)
    assert action(signals) == "roll_back"


@pytest.mark.parametrize(
    "changes",
    [{"previous": None}, {"promoted_at": NOW - timedelta(days=2)}, {"promoted_at": None}],
    ids=["nowhere to go", "long ago", "unknown"],
)
def test_another_broken_promise_freezes_releases_and_outweighs_drift(changes):
    signals = replace(DRIFT, service="broken", promoted_at=NOW - timedelta(hours=2), previous=1)
    assert action(replace(signals, **changes), check(1, "drift")) == "freeze"


def test_a_monitoring_that_stays_blind_is_told_to_a_person():
    blind = replace(CALM, drift="inconclusive", quality="inconclusive", service="inconclusive")
    assert action(blind) == "nothing"
    assert action(blind, check(1, blind=True)) == "alert"
    assert action(replace(blind, quality="good"), check(1, blind=True)) == "nothing"


SIGNALS = st.builds(
    Signals,
    version=st.just(2),
    drift=st.sampled_from(["drift", "no_drift", "inconclusive"]),
    quality=st.sampled_from(["good", "lost", "inconclusive"]),
    service=st.sampled_from(["met", "broken", "inconclusive"]),
    new_labelled_rows=st.integers(0, 2),
)


@given(st.lists(SIGNALS, max_size=120), st.integers(1, 12))
def test_whatever_comes_it_keeps_cooldown_and_budget_and_has_a_reason(run, hours):
    done, retrained = [], []
    for number, signals in enumerate(run):
        now = NOW + number * timedelta(hours=hours)
        decision = decide(signals, POLICY, done, now)
        assert decision.reason
        done.append(PastCheck(now, 2, decision.action, signals.fired, signals.blind))
        if decision.action == "retrain":
            assert signals.fired
            assert signals.new_labelled_rows > 0
            assert all(now - earlier >= POLICY.cooldown for earlier in retrained)
            retrained.append(now)
            assert sum(now - earlier < timedelta(days=30) for earlier in retrained) <= POLICY.budget_per_month


def recorded(database, decision, run="run-1", use_case="delay", **figures):
    window = (NOW - timedelta(days=7), NOW)
    return record_check(database, use_case, decision, run=run, window=window, figures=figures)


def remembered(database, use_case="delay"):
    with database.connect() as connection:
        return past_checks(connection, use_case, now=datetime.now(UTC)), ledger_entries(connection, use_case)


def test_every_decision_is_written_with_its_evidence_and_remembered(database):
    recorded(database, decide(DRIFT, POLICY, [], NOW), share=float("nan"))
    checks, ledger = remembered(database)
    assert [(each.version, each.action, each.fired, each.unobservable) for each in checks] == [
        (2, "nothing", ("drift",), False)
    ]
    assert [(each["event"], each["version"], each["actor"]) for each in ledger] == [
        ("decided", 2, "monitoring")
    ]
    assert ledger[0]["evidence"]["drift"] == "drift"
    assert decide(DRIFT, POLICY, checks, datetime.now(UTC)).action == "retrain"


def test_a_run_that_is_repeated_keeps_its_first_decision(database):
    first = recorded(database, decide(DRIFT, POLICY, [check(1, "drift")], NOW))
    second = recorded(database, decide(CALM, POLICY, [], NOW))
    assert first.action == "retrain"
    assert second == first
    checks, ledger = remembered(database)
    assert (len(checks), len(ledger)) == (1, 1)


def test_the_same_run_id_of_two_use_cases_is_two_runs(database):
    for use_case in ("delay", "minutes"):
        recorded(database, decide(CALM, POLICY, [], NOW), use_case=use_case)
    assert len(remembered(database)[0]) == len(remembered(database, "minutes")[0]) == 1
