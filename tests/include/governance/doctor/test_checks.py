from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from include.governance.doctor.both_logs import LoggedResponses
from include.governance.doctor.checks import CHECKS, examine
from include.governance.doctor.facts import ModelReading
from include.release.rollout import ReleaseState

OLD = timedelta(hours=1)
STATE = ReleaseState("flight_delay", champion=2, previous=1, challenger=3, weight=2_500, generation=7)
LIVE = {"generation": 7, "ready": True, "detail": {"route": {"champion": 2, "challenger": 3}}}
WELL = ModelReading(
    STATE,
    OLD,
    LIVE,
    timedelta(seconds=5),
    (("staged", 1), ("promoted", 1), ("staged", 2), ("promoted", 2), ("staged", 3), ("shifted", 3)),
    2,
    {1: "a", 2: "b", 3: "c"},
    {},
    {"champion": 2, "previous": 1, "challenger": 3},
    (2, 3),
)
RETIRED = replace(
    WELL,
    state=ReleaseState("flight_delay", retired=True, generation=7),
    live=LIVE | {"detail": {"route": {"champion": None, "challenger": None}}},
    entries=(*WELL.entries, ("retired", 2)),
    ledger_champion=None,
    aliases={},
    servers=(),
)


def ill(**changes):
    return replace(WELL, **changes)


def answered(**changes):
    return replace(WELL, responses=LoggedResponses(1_000, **changes))


def with_state(**changes):
    return replace(WELL, state=replace(STATE, **changes))


def live(**changes):
    return replace(WELL, live=LIVE | changes)


@pytest.mark.parametrize("model", [WELL, RETIRED], ids=["rollout", "retired"])
@pytest.mark.parametrize("name", CHECKS)
def test_check_is_quiet_where_all_is_well(name, model):
    assert CHECKS[name](model) == []


@pytest.mark.parametrize(
    ("name", "model", "problem"),
    [
        ("champion", with_state(champion=None), "it has no champion, and the ledger names one"),
        (
            "champion",
            ill(registered={2: "b"}),
            "version 3 is in use, and the ledger has no",
        ),
        ("champion", ill(faults={3: "its files were replaced"}), "version 3: its files were replaced"),
        (
            "weight",
            with_state(weight=1_234),
            "the challenger has 12.34 % of the traffic",
        ),
        ("weight", with_state(challenger=None), "weight 2500 and shadow share 0 without a challenger"),
        ("traffic", with_state(challenger=None), "version 3 gets traffic and is not in use"),
        ("traffic", replace(RETIRED, live=LIVE), "version 2 gets traffic and is not in use"),
        ("rollouts", ill(entries=WELL.entries[:4]), "by the ledger version None is being rolled out"),
        ("rollouts", ill(entries=(*WELL.entries, ("restored", 3))), "by the ledger version None is being"),
        (
            "rollouts",
            ill(entries=(*WELL.entries, ("restored", 9))),
            "version 9 was restored without",
        ),
        ("servers", ill(servers=(2,)), "no server of version 3 runs"),
        ("servers", ill(servers=(1, 2, 3)), "a server of version 1 runs and is not in use"),
        ("servers", ill(servers=(2, 2, 3)), "version 2 has 2 servers, and 1 should run"),
        ("agreement", ill(ledger_champion=1), "the champion is 2, and by the ledger 1"),
        (
            "agreement",
            ill(aliases={"champion": 2, "previous": 1}),
            "MLflow's challenger is None",
        ),
        ("agreement", ill(live=None), "the controller does not report"),
        ("agreement", ill(reported=OLD), "the controller does not report"),
        ("agreement", live(generation=6), "generation 6 is live, and 7 is desired"),
        ("agreement", live(ready=False), "the desired state is not live: None"),
        ("answers", answered(answered_twice=2), "2 requests of the last hour were answered by two versions"),
        (
            "answers",
            answered(unrecorded=21),
            "21 of 1000 answers of the last hour are not in the",
        ),
        ("answers", answered(unlogged=21), "21 answers of the last hour are not in the access log"),
        ("answers", answered(behind=OLD), "the access log ends 3600 s ago: does its collector"),
        ("answers", answered(behind=None), "there is no access log"),
    ],
)
def test_check_fires(name, model, problem):
    (first, *_) = CHECKS[name](model)
    assert first.startswith(problem)
    assert [finding.check for finding in examine([model])].count(name) >= 1


def test_what_killed_processes_took_with_them_is_no_fault():
    assert CHECKS["answers"](answered(unrecorded=20, unlogged=20, behind=timedelta(seconds=1))) == []
    assert CHECKS["answers"](replace(answered(behind=None), live=None)) == []


@pytest.mark.parametrize("name", ["traffic", "servers", "agreement"])
def test_change_may_take_a_minute(name):
    changing = replace(WELL, age=timedelta(seconds=5), servers=(2,), live=LIVE | {"generation": 6})
    assert CHECKS[name](changing) == []


@pytest.mark.parametrize("event", ["rolled_back", "switched_off", "retired"])
def test_decision_of_a_person_ends_any_rollout(event):
    model = replace(with_state(challenger=None, weight=0), entries=(*WELL.entries, (event, 2)))
    assert CHECKS["rollouts"](model) == []


def test_monitoring_that_stopped_is_found():
    check = CHECKS["monitoring"]
    (problem,) = check(ill(unchecked=timedelta(hours=49)))
    assert "drift and quality were not checked for 49 h" in problem
    assert check(replace(RETIRED, unchecked=timedelta(days=9))) == []
