from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from include.catalog import catalog
from include.database.ledger import Entry, append, ledger_entries
from include.database.tables import access_log
from include.declarations import RetrainPolicy, Slo
from include.errors import ServiceUnavailable
from include.monitoring import service_check
from include.monitoring.governor import Decision, record_check
from include.monitoring.quality.label_levels import LabelLevel
from include.monitoring.service_check import ServiceCheck, decide_service
from include.monitoring.slo import BURN_RULES, Burn, ServiceLevel
from include.release import controls, rollout
from tests.access_rows import access_row, mark_complete

NOW = datetime(2026, 1, 30, 12, tzinfo=UTC)
NAME = "flight_delay"
MET = ServiceLevel("met", "fine", 1000, 0, 0, 1.0, 5.0, 9.0, 1.0)
BROKEN = replace(MET, outcome="broken", reason="availability 90%, 99.9% promised", budget_left=-9.0)
FEW = replace(MET, outcome="inconclusive", reason="3 requests since, 100 are needed")
BURN = Burn(BURN_RULES[0], True, 20.0, 1000, 20)
QUIET = ServiceCheck(version=2, end=NOW, level=MET, burns=())
NEW = replace(QUIET, previous=1, own=BROKEN, before=MET)


def test_met_service_needs_no_decision():
    decision = decide_service(QUIET)
    assert (decision.action, decision.reason) == ("nothing", "fine")
    assert decision.evidence["alarms"] == []


def test_new_version_that_broke_the_level_is_rolled_back():
    decision = decide_service(replace(NEW, level=BROKEN))
    assert decision.action == "roll_back"
    assert "version 2 broke the service level since its promotion (availability 90%" in decision.reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"own": MET}, ""),
        ({"own": FEW}, ""),
        ({"own": None, "before": None}, ""),
        ({"rolled_back": True}, "its rollback was decided before"),
        ({"before": BROKEN}, "so had version 1 before"),
    ],
    ids=["failures of the old version", "few requests", "long ago", "once", "previous was as bad"],
)
def test_what_a_rollback_would_not_mend_freezes(changes, reason):
    decision = decide_service(replace(NEW, level=BROKEN, **changes))
    assert decision.action == "freeze"
    assert reason in decision.reason
    assert "(availability 90%, 99.9% promised)" in decision.reason


def test_broken_level_while_frozen_needs_no_decision():
    assert decide_service(replace(QUIET, level=BROKEN, frozen="burnt")).action == "nothing"


@pytest.mark.parametrize(
    ("cause", "left", "action"),
    [("error_budget", 0.1, "thaw"), ("error_budget", 0.05, "nothing"), (None, 1.0, "nothing")],
    ids=["recovered", "barely", "by a person"],
)
def test_recovered_budget_thaws_its_own_freeze(cause, left, action):
    level = replace(MET, budget_left=left)
    check = replace(QUIET, level=level, frozen="burnt", freeze_cause=cause)
    assert decide_service(check).action == action
    assert decide_service(replace(check, level=FEW)).action == "nothing"


def test_alarm_alerts_once_when_it_begins():
    check = replace(QUIET, burns=(BURN,))
    decision = decide_service(check)
    assert decision.action == "alert"
    assert "burns 20.0 times as fast as it may (20 of 1000 requests failed in 1 h" in decision.reason
    repeated = decide_service(replace(check, alarms_before=tuple(decision.evidence["alarms"])))
    assert repeated.action == "nothing"
    assert "goes on" in repeated.reason


def test_old_features_alert_and_freeze_nothing():
    decision = decide_service(replace(QUIET, stale_features="the oldest features were 900 s old"))
    assert (decision.action, decision.reason) == ("alert", "the oldest features were 900 s old")


@pytest.mark.parametrize("name", ["surge", "slow_hour", "refused_callers"])
def test_unusual_hour_alerts_and_freezes_nothing(name):
    decision = decide_service(replace(QUIET, **{name: "20 of 20 requests"}))
    assert (decision.action, decision.reason) == ("alert", "20 of 20 requests")


def test_silence_alerts_with_the_hour_and_expected_requests():
    reason = decide_service(replace(QUIET, expected_requests=340)).reason
    assert "no request from 2026-01-30 11:00 to 12:00, when there usually are 340 or more" in reason


@pytest.fixture
def released(database):
    """Return the database in which version 2 follows version 1."""
    for version in (1, 2):
        with database.begin() as connection:
            append(connection, Entry(NAME, "registered", "nightly", "passed", version))
        lease = rollout.begin(database, NAME, version, owner=f"run-{version}", actor="nightly")
        rollout.promote(database, lease, reason="better", evidence={}, needs_traffic=False)
    return database


def use_case():
    slo = Slo(availability=0.9, minimum_requests=5)
    return catalog().use_cases[NAME].model_copy(update={"slo": slo, "retrain": RetrainPolicy()})


def answer(database, at, version, status, count=10):
    rows = [
        access_row(use_case=NAME, received_at=at, version=version, status=status, assigned_version=version)
        for _ in range(count)
    ]
    with database.begin() as connection:
        connection.execute(access_log.insert(), rows)


def check_hour(database, end):
    with database.connect() as connection:
        return service_check.measure(connection, use_case(), end=end)


def promoted_at(database):
    with database.connect() as connection:
        entries = ledger_entries(connection, NAME)
    return next(entry["at"] for entry in entries if entry["event"] == "promoted")


def test_outage_of_the_old_version_keeps_the_new_one(released):
    moment = promoted_at(released)
    answer(released, moment - timedelta(minutes=1), 1, 503)
    answer(released, moment + timedelta(minutes=1), 1, 503)
    answer(released, moment + timedelta(minutes=1), 2, 200)
    check = check_hour(released, moment + timedelta(minutes=5))
    assert (check.version, check.previous, check.level.outcome) == (2, 1, "broken")
    assert (check.own.outcome, check.before.outcome) == ("met", "broken")
    assert decide_service(check).action == "freeze"


def test_new_version_is_rolled_back_once(released):
    moment = promoted_at(released)
    answer(released, moment - timedelta(minutes=1), 1, 200)
    answer(released, moment + timedelta(minutes=1), 2, 503)
    end = moment + timedelta(minutes=5)
    for number, action in enumerate(("roll_back", "freeze", "nothing")):
        check = check_hour(released, end)
        decision = decide_service(check)
        assert decision.action == action
        service_check.record(released, NAME, check, decision, run=f"run-{number}", actor="airflow")
    with released.connect() as connection:
        state = rollout.read_state(connection, NAME)
        events = [entry["reason"].split(":")[0] for entry in ledger_entries(connection, NAME, limit=3)]
    assert state.frozen.startswith("the service level is broken")
    assert sorted(events[:3]) == sorted([state.frozen.split(":")[0], "freeze", "roll_back"])
    late = check_hour(released, end + timedelta(days=2))
    assert late.own is None


def test_same_hour_gives_the_same_figures_later(released):
    end = promoted_at(released) + timedelta(minutes=5)
    answer(released, end - timedelta(minutes=1), 2, 200)
    first = check_hour(released, end)
    answer(released, end + timedelta(minutes=1), 2, 503)
    assert check_hour(released, end) == first


def test_lifted_freeze_begins_a_new_count(released):
    moment = promoted_at(released)
    answer(released, moment, 2, 503)
    controls.freeze(released, NAME, actor="ann", reason="burnt")
    controls.lift(released, NAME, actor="ann", reason="mended")
    assert check_hour(released, moment + timedelta(hours=1)).level.requests == 0


def test_use_case_without_a_champion_is_not_checked(database):
    assert check_hour(database, NOW) is None


def test_check_waits_for_the_whole_log(database):
    with database.connect() as connection:
        service_check.require_log(connection, NOW)
        mark_complete(database, NOW)
        service_check.require_log(connection, NOW)
        with pytest.raises(ServiceUnavailable, match="until 2026-01-30 12:00:00, not until 12:05:00"):
            service_check.require_log(connection, NOW + timedelta(minutes=5))


COVERED = LabelLevel("met", "of 1000 labels that were due 10 are missing", 1000, 10, 0.9, {})
MISSING = replace(COVERED, outcome="broken", budget_left=-1.0, burns={"5": "burns 10.0 times"})


def test_broken_label_coverage_freezes_and_thaws():
    check = replace(QUIET, label_levels={"label coverage": MISSING})
    decision = decide_service(check)
    assert decision.action == "freeze"
    assert decision.reason.startswith("label coverage is broken (of 1000 labels")
    frozen = replace(check, frozen=decision.reason, freeze_cause="error_budget")
    assert decide_service(replace(frozen, alarms_before=tuple(check.alarms))).action == "nothing"
    recovered = replace(frozen, label_levels={"label coverage": COVERED}, level=FEW)
    assert decide_service(recovered).action == "thaw"
    unknown = replace(frozen, label_levels={"label coverage": replace(COVERED, outcome="inconclusive")})
    assert decide_service(unknown).action == "nothing"


def test_labels_that_burn_or_surge_alert_once():
    burning = replace(COVERED, burns=MISSING.burns)
    check = replace(QUIET, label_levels={"label coverage": burning}, label_surges="'late' 50.0%")
    decision = decide_service(check)
    assert decision.action == "alert"
    assert "label coverage: burns 10.0 times" in decision.reason
    assert "the share of a label changed: 'late' 50.0%" in decision.reason
    assert decide_service(replace(check, alarms_before=tuple(check.alarms))).action == "nothing"


@pytest.mark.parametrize(("age_days", "outcome"), [(1, "broken"), (9, "inconclusive")])
def test_labels_are_those_of_the_newest_monitoring_run(released, age_days, outcome):
    end = promoted_at(released) + timedelta(minutes=5)
    moment = end - timedelta(days=age_days)
    day = {"day": f"{moment - timedelta(days=2):%Y-%m-%d}", "due": 500, "missing": 400}
    quality = {"label_days": [day | {"value": None, "is_worse": None}], "label_surges": "'late' 50.0%"}
    decision = Decision("nothing", "no signal fired", {"version": 2})
    window = (moment - timedelta(days=7), moment)
    record_check(released, NAME, decision, run="r", window=window, figures={"quality": quality})
    declared = use_case().model_copy(update={"slo": Slo(label_coverage=0.9)})
    with released.connect() as connection:
        check = service_check.measure(connection, declared, end=end)
    assert check.label_levels["label coverage"].outcome == outcome
    assert ("label" in check.alarms) == (age_days == 1)
