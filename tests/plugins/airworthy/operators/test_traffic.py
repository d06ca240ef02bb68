"""ShiftTrafficOperator with PostgreSQL."""

from __future__ import annotations

import json

import pytest

from airflow.sdk.exceptions import TaskAwaitingInput

from airworthy.links import ModelsLink
from airworthy.operators import traffic
from airworthy.operators.traffic import NO_CHAMPION
from include.database import ledger
from include.errors import RolloutFailed, StaleEpoch
from include.release import rollout, rollout_status
from tests.plugins.airworthy.operators.rollout_fixtures import certified, defer_soon, lease, second
from tests.plugins.airworthy.operators.rollout_steps import (
    LIVE,
    NOT_LIVE,
    begin,
    deferred,
    ledger_events,
    restore,
    shift,
    state,
)

__all__ = ["certified", "defer_soon", "lease", "second"]
pytestmark = pytest.mark.usefixtures("defer_soon", "lake")


def test_shift_moves_traffic_and_waits_in_the_triggerer(champion, database, lease, second):
    waiting = deferred(shift(champion, lease, percent=25), second)
    assert (state(database, champion).weight, state(database, champion).shadow_share) == (2_500, 0)
    assert waiting.method_name == "analyse_step"
    assert waiting.kwargs == {"since": waiting.trigger.since}
    assert (waiting.trigger.version, waiting.trigger.stage) == (2, "canary")
    assert waiting.trigger.use_case == champion.name
    assert ledger_events(database, champion)[-1] == "shifted"


def test_wait_for_requests_says_for_how_many(champion, lease, second, capfd):
    deferred(shift(champion, lease, percent=25), second)
    assert f"{champion.rollout.minimum_requests} requests, at most 0:01:00" in capfd.readouterr().out


def test_shadow_gets_copies_and_no_traffic(champion, database, lease, second):
    waiting = deferred(shift(champion, lease, shadow_share=1.0), second)
    assert (state(database, champion).weight, state(database, champion).shadow_share) == (0, 1.0)
    assert waiting.trigger.stage == "shadow"
    assert ledger_events(database, champion)[-1] == "shadowed"


def test_repeated_shift_changes_nothing(champion, database, lease, second):
    for _ in range(2):
        deferred(shift(champion, lease, percent=25), second)
    assert ledger_events(database, champion).count("shifted") == 1


def test_first_model_gets_no_split_traffic(certified, database, context):
    run = context(params={"version": 1})
    assert shift(certified, begin(certified, run), percent=25).execute(run) == NO_CHAMPION
    assert state(database, certified).weight == 0


def test_older_lease_cannot_shift(champion, lease, second):
    begin(champion, second)
    with pytest.raises(StaleEpoch):
        shift(champion, lease, percent=25).execute(second)


def analyse(champion, lease, run, since, event=LIVE):
    return shift(champion, lease, percent=25).analyse_step(run, dict(event), since=since)


@pytest.fixture
def callers(champion, follow, serve, monkeypatch):
    """Return a function that logs requests with a status as soon as traffic was shifted."""

    def send(status):
        monkeypatch.setattr(traffic, "INLINE_WAIT", 30.0)
        shift_traffic = rollout.shift

        def shift_and_serve(*args, **kwargs):
            state = shift_traffic(*args, **kwargs)
            follow(champion.name, v2="127.0.0.1:9002")
            serve(champion.name, 1, "champion")
            serve(champion.name, 2, "challenger", status=status)
            return state

        monkeypatch.setattr(rollout, "shift", shift_and_serve)

    return send


def test_step_with_enough_requests_is_not_deferred(champion, lease, second, callers):
    callers(200)
    figures = shift(champion, lease, percent=25).execute(second)
    assert figures["challenger"]["requests"] == 30


def test_challenger_that_fails_at_once_is_not_deferred(champion, lease, second, callers):
    callers(500)
    with pytest.raises(RolloutFailed, match="roll_back: 30 of 30 requests failed"):
        shift(champion, lease, percent=25).execute(second)


def test_ledger_has_the_figures_of_a_failed_step(champion, database, lease, second, callers):
    callers(500)
    with pytest.raises(RolloutFailed):
        shift(champion, lease, percent=25).execute(second)
    second["ti"].states["canary"] = "failed"
    restore(champion, lease, second)
    with database.connect() as connection:
        reason = ledger.ledger_entries(connection, champion.name)[0]["reason"]
    assert reason.startswith("the rollout failed at canary: roll_back: 30 of 30 requests failed")


UNDECIDED = LIVE | {"outcome": "inconclusive", "finding": "13 of the 20 requests"}


@pytest.fixture
def questions(monkeypatch):
    """Return what a person is asked."""
    raised = []
    monkeypatch.setattr(traffic, "upsert_hitl_detail", lambda **question: raised.append(question))
    return raised


def test_undecided_step_asks_a_person(champion, lease, second, since, questions):
    with pytest.raises(TaskAwaitingInput) as waiting:
        analyse(champion, lease, second, since, UNDECIDED)
    assert (waiting.value.method_name, waiting.value.kwargs) == ("decide", {"since": since})
    assert waiting.value.timeout == champion.rollout.patience
    (question,) = questions
    assert (question["defaults"], question["body"][:9]) == (["Roll back"], "13 of the")


def decide(champion, lease, run, since, option):
    answer = {"chosen_options": [option], "responded_by_user": {"id": "1", "name": "bob"}}
    return shift(champion, lease, percent=25).decide(run, answer, since=since)


def test_person_lets_an_undecided_step_pass(champion, database, lease, second, since, follow):
    follow(champion.name)
    assert decide(champion, lease, second, since, "Go on")["challenger"]["requests"] == 0
    assert ledger_events(database, champion)[-1] == "approved"


def test_person_ends_an_undecided_rollout(champion, database, lease, second, since, follow):
    follow(champion.name)
    with pytest.raises(RolloutFailed, match="canary was inconclusive, and bob rolled it back without"):
        decide(champion, lease, second, since, "Roll back")
    assert ledger_events(database, champion)[-1] == "rejected"


def test_person_cannot_pass_a_challenger_that_fails(champion, lease, second, since, follow, serve):
    follow(champion.name)
    serve(champion.name, 1, "champion")
    serve(champion.name, 2, "challenger", status=500)
    with pytest.raises(RolloutFailed, match="roll_back: 30 of 30 requests failed"):
        decide(champion, lease, second, since, "Go on")


def test_switch_without_analysis_ends_when_it_is_live(champion, database, lease, second, follow, monkeypatch):
    waiting = deferred(shift(champion, lease, percent=100, analysed=False), second)
    assert waiting.trigger.stage is None
    follow(champion.name)
    monkeypatch.setattr(traffic, "INLINE_WAIT", 30.0)
    assert shift(champion, lease, percent=100, analysed=False).execute(second) == {}
    assert state(database, champion).weight == 10_000
    with pytest.raises(RolloutFailed, match="the server of version 2 died"):
        shift(champion, lease, percent=100, analysed=False).analyse_step(second, dict(NOT_LIVE), since="")


def test_repeated_step_goes_on_with_its_first_start(champion, lease, second):
    first = deferred(shift(champion, lease, percent=25), second)
    again = deferred(shift(champion, lease, percent=25), second)
    assert again.kwargs == first.kwargs


@pytest.fixture
def since(database):
    return rollout_status.database_time(database).isoformat()


def test_challenger_as_good_as_the_champion_passes(champion, lease, second, since, serve):
    serve(champion.name, 1, "champion")
    serve(champion.name, 2, "challenger")
    figures = analyse(champion, lease, second, since)
    assert figures["challenger"]["requests"] == 30
    assert json.loads(json.dumps(figures)) == figures


def test_failing_challenger_fails_the_step(champion, lease, second, since, serve):
    serve(champion.name, 1, "champion")
    serve(champion.name, 2, "challenger", status=500)
    with pytest.raises(RolloutFailed, match="at canary: roll_back: 30 of 30 requests failed"):
        analyse(champion, lease, second, since)


def test_challenger_without_requests_fails_the_step(champion, lease, second, since, serve):
    serve(champion.name, 1, "champion")
    with pytest.raises(RolloutFailed, match="inconclusive: 0 of the 20 requests"):
        analyse(champion, lease, second, since)


def test_challenger_that_is_not_live_fails_the_step(champion, lease, second, since, serve):
    serve(champion.name, 1, "champion")
    serve(champion.name, 2, "challenger")
    with pytest.raises(RolloutFailed, match="the server of version 2 died"):
        analyse(champion, lease, second, since, NOT_LIVE)


def test_link_leads_to_the_served_versions(champion, lease):
    link = ModelsLink().get_link(shift(champion, lease, percent=2), ti_key=None)
    assert link == f"http://127.0.0.1:9/models/{champion.name}"
