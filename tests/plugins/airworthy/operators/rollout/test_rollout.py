"""Begin, restore, roll back."""

from __future__ import annotations

import json

import pytest

from airflow.sdk.exceptions import AirflowSkipException

from airworthy.operators.rollout import RollBackOperator
from include.database import ledger
from include.errors import CertificateInvalid, ReleaseError, StaleEpoch
from tests.plugins.airworthy.operators.rollout.steps import (
    begin,
    deferred,
    promotion,
    restore,
    shift,
    state,
    told,
)


def test_begin_takes_the_use_case_and_may_be_tried_again(champion, database, second):
    first, again = begin(champion, second), begin(champion, second)
    assert (first["version"], first["actor"]) == (2, "ann")
    assert again["epoch"] == first["epoch"] + 1
    assert json.loads(json.dumps(first)) == first
    assert told(database, champion) == ["staged", "promoted", "staged"]


def test_the_champion_is_not_rolled_out_again(champion, context):
    with pytest.raises(AirflowSkipException, match="version 1 is the champion already"):
        begin(champion, context(params={"version": 1}))


def test_another_runs_rollout_is_not_interrupted(champion, hold, context):
    other = context({"run_id": "manual__other"}, params={"version": 2})
    with pytest.raises(ReleaseError, match="some_dag/manual__2013-07-01"):
        begin(champion, other)


def test_a_version_that_nobody_trusted_certified_is_not_begun(champion, database, second, distrust):
    distrust()
    with pytest.raises(CertificateInvalid, match="unknown"):
        begin(champion, second)
    assert state(database, champion).challenger is None


def test_a_version_that_does_not_exist_is_not_begun(champion, context):
    with pytest.raises(ReleaseError, match="version 99"):
        begin(champion, context(params={"version": 99}))


def test_restore_gives_the_champion_everything_back(champion, database, hold, second):
    deferred(shift(champion, hold, percent=75), second)
    assert restore(champion, hold, second) is True
    now = state(database, champion)
    assert (now.champion, now.challenger, now.weight, now.shadow_share) == (1, None, 0, 0)
    assert told(database, champion)[-1] == "restored"


def test_after_restore_no_earlier_task_may_change_anything(champion, hold, second):
    restore(champion, hold, second)
    with pytest.raises(StaleEpoch):
        shift(champion, hold, percent=2).execute(second)
    with pytest.raises(StaleEpoch):
        promotion(champion, hold).execute(second)


def test_restore_leaves_a_promoted_challenger_alone(champion, database, hold, second):
    deferred(shift(champion, hold, percent=100), second)
    deferred(promotion(champion, hold), second)
    assert restore(champion, hold, second) is False
    assert state(database, champion).champion == 2


def roll_back(champion, run):
    operator = RollBackOperator(task_id="roll_back", use_case=champion.name, reason="it is too slow")
    return operator.execute(run)


def test_one_click_brings_the_previous_champion_back_once(
    champion, database, registry, hold, second, context
):
    deferred(shift(champion, hold, percent=100), second)
    deferred(promotion(champion, hold), second)
    click = context({"run_id": "manual__rollback", "triggering_user_name": "bob"})
    assert [roll_back(champion, click) for _ in range(2)] == [1, 1]
    with database.connect() as connection:
        entry, before, *_ = ledger.ledger_entries(connection, champion.name)
    assert (entry["event"], entry["actor"], entry["reason"]) == ("rolled_back", "bob", "it is too slow")
    assert before["event"] == "promoted"
    aliases = registry._client.get_registered_model(champion.name).aliases
    assert {name: int(version) for name, version in aliases.items()} == {"champion": 1}


def test_without_a_previous_champion_there_is_no_way_back(champion, context):
    with pytest.raises(ReleaseError, match="no previous champion"):
        roll_back(champion, context())
