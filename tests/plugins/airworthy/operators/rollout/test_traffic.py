"""Shift traffic, and judge what it showed."""

from __future__ import annotations

import json

import pytest

from airworthy.links import ModelsLink
from airworthy.operators import traffic
from airworthy.operators.traffic import ALONE
from include.errors import RolloutFailed, StaleEpoch
from include.release import rollout, rollout_status
from tests.plugins.airworthy.operators.rollout.steps import (
    LIVE,
    NOT_LIVE,
    begin,
    deferred,
    shift,
    state,
    told,
)


def test_a_shift_moves_the_traffic_and_waits_in_the_triggerer(champion, database, hold, second):
    waiting = deferred(shift(champion, hold, percent=25), second)
    assert (state(database, champion).weight, state(database, champion).shadow_share) == (2_500, 0)
    assert waiting.method_name == "judge"
    assert waiting.kwargs == {"since": waiting.trigger.since}
    assert (waiting.trigger.version, waiting.trigger.stage) == (2, "canary")
    assert (waiting.trigger.bake, waiting.trigger.patience) == (0, 60)
    assert told(database, champion)[-1] == "shifted"


def test_a_shadow_gets_copies_and_no_traffic(champion, database, hold, second):
    waiting = deferred(shift(champion, hold, shadow_share=1.0), second)
    assert (state(database, champion).weight, state(database, champion).shadow_share) == (0, 1.0)
    assert waiting.trigger.stage == "shadow"
    assert told(database, champion)[-1] == "shadowed"


def test_a_shift_tried_again_changes_nothing(champion, database, hold, second):
    for _ in range(2):
        deferred(shift(champion, hold, percent=25), second)
    assert told(database, champion).count("shifted") == 1


def test_a_first_model_has_nobody_to_share_traffic_with(certified, database, context):
    run = context(params={"version": 1})
    assert shift(certified, begin(certified, run), percent=25).execute(run) == ALONE
    assert state(database, certified).weight == 0


def test_an_older_attempt_may_not_shift(champion, hold, second):
    begin(champion, second)
    with pytest.raises(StaleEpoch):
        shift(champion, hold, percent=25).execute(second)


def judge(champion, hold, run, since, event=LIVE):
    return shift(champion, hold, percent=25).judge(run, dict(event), since=since)


@pytest.fixture
def callers(champion, follow, serve, monkeypatch):
    """Return a way to let callers come as soon as the traffic has moved, each answered with a status."""

    def come(status):
        monkeypatch.setattr(traffic, "INLINE_WAIT", 30.0)
        moving = rollout.shift

        def shift_and_serve(*args, **kwargs):
            state = moving(*args, **kwargs)
            follow(champion.name, v2="127.0.0.1:9002")
            serve(champion.name, 1, "champion")
            serve(champion.name, 2, "challenger", status=status)
            return state

        monkeypatch.setattr(rollout, "shift", shift_and_serve)

    return come


def test_a_step_that_can_be_judged_at_once_is_not_deferred(champion, hold, second, callers):
    callers(200)
    figures = shift(champion, hold, percent=25).execute(second)
    assert figures["challenger"]["requests"] == 30


def test_a_challenger_that_fails_at_once_goes_back_at_once(champion, hold, second, callers):
    callers(500)
    with pytest.raises(RolloutFailed, match="roll_back: 30 of 30 requests failed"):
        shift(champion, hold, percent=25).execute(second)


@pytest.fixture
def since(database):
    return rollout_status.now(database).isoformat()


def test_a_challenger_that_is_as_good_goes_on(champion, hold, second, since, serve):
    serve(champion.name, 1, "champion")
    serve(champion.name, 2, "challenger")
    figures = judge(champion, hold, second, since)
    assert figures["challenger"]["requests"] == 30
    assert json.loads(json.dumps(figures)) == figures


def test_a_challenger_that_fails_goes_back(champion, hold, second, since, serve):
    serve(champion.name, 1, "champion")
    serve(champion.name, 2, "challenger", status=500)
    with pytest.raises(RolloutFailed, match="at canary: roll_back: 30 of 30 requests failed"):
        judge(champion, hold, second, since)


def test_a_challenger_that_nobody_asked_is_no_success(champion, hold, second, since, serve):
    serve(champion.name, 1, "champion")
    with pytest.raises(RolloutFailed, match="inconclusive: 0 of the 20 requests"):
        judge(champion, hold, second, since)


def test_what_the_controller_did_not_bring_live_is_no_success(champion, hold, second, since, serve):
    serve(champion.name, 1, "champion")
    serve(champion.name, 2, "challenger")
    with pytest.raises(RolloutFailed, match="the server of version 2 died"):
        judge(champion, hold, second, since, NOT_LIVE)


def test_the_link_leads_to_what_is_served_now(champion, hold):
    link = ModelsLink().get_link(shift(champion, hold, percent=2), ti_key=None)
    assert link == f"http://127.0.0.1:9/models/{champion.name}"
