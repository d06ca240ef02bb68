"""ReleaseControlOperator."""

from __future__ import annotations

import pytest

from airworthy.operators.controls import SWITCH_OFF, ReleaseControlOperator
from dags.controls import ACTIONS
from include.errors import ReleaseError
from include.release import controls
from tests.plugins.airworthy.operators.rollout_steps import ledger_events, state


def control(use_case, action, fallback=""):
    return ReleaseControlOperator(
        task_id="control", use_case=use_case.name, action=action, reason="it is wrong", fallback=fallback
    )


def test_form_offers_every_action():
    assert [SWITCH_OFF, *controls.ACTIONS] == ACTIONS


def test_switch_off_and_on_are_recorded_with_the_person(champion, database, context):
    run = context({"run_id": "manual__off", "triggering_user_name": "bob"})
    control(champion, SWITCH_OFF, "unavailable").execute(run)
    assert state(database, champion).fallback == {"kind": "unavailable", "reason": "it is wrong"}
    control(champion, "switch on").execute(run)
    assert ledger_events(database, champion)[-2:] == ["switched_off", "switched_on"]


def test_declared_fallback_is_the_default(champion, database, context):
    control(champion, SWITCH_OFF).execute(context())
    assert state(database, champion).fallback["kind"] == champion.serving.fallback.kind


def test_impossible_action_fails_the_task(champion, context):
    with pytest.raises(ReleaseError, match="not frozen"):
        control(champion, "lift").execute(context())
