"""BeginRolloutOperator, RestoreChampionOperator and RollBackOperator."""

from __future__ import annotations

import json
from datetime import timedelta
from types import SimpleNamespace

import pytest

from airflow.sdk.exceptions import AirflowSkipException

from airworthy.operators.rollout import RollBackOperator
from include.database import ledger
from include.errors import CertificateInvalid, ReleaseError, ServiceUnavailable, StaleEpoch
from include.release import leases
from tests.plugins.airworthy.operators.rollout_fixtures import certified, defer_soon, distrust, lease, second
from tests.plugins.airworthy.operators.rollout_steps import (
    LIVE,
    NOT_LIVE,
    begin,
    deferred,
    ledger_events,
    promotion,
    restore,
    shift,
    state,
)

__all__ = ["certified", "defer_soon", "distrust", "lease", "second"]
pytestmark = pytest.mark.usefixtures("defer_soon")


def test_repeated_begin_returns_a_newer_lease(champion, database, second):
    first = begin(champion, second)
    again = begin(champion, second)
    assert (first["version"], first["actor"]) == (2, "ann")
    assert again["epoch"] == first["epoch"] + 1
    assert json.loads(json.dumps(first)) == first
    assert ledger_events(database, champion) == ["staged", "promoted", "staged"]


def test_rollout_of_the_champion_is_skipped(champion, context):
    with pytest.raises(AirflowSkipException, match="version 1 is the champion already"):
        begin(champion, context(params={"version": 1}))


def test_rollout_of_another_run_is_not_interrupted(champion, lease, context):
    other = context({"run_id": "manual__other"}, params={"version": 2})
    with pytest.raises(ReleaseError, match="some_dag/manual__2013-07-01"):
        begin(champion, other)


def test_version_with_an_untrusted_certificate_is_not_begun(champion, database, second, distrust):
    distrust()
    with pytest.raises(CertificateInvalid, match="unknown"):
        begin(champion, second)
    assert state(database, champion).challenger is None


def test_version_that_does_not_exist_is_not_begun(champion, context):
    with pytest.raises(ReleaseError, match="version 99"):
        begin(champion, context(params={"version": 99}))


def test_restore_gives_the_champion_all_traffic(champion, database, lease, second):
    deferred(shift(champion, lease, percent=75), second)
    assert restore(champion, lease, second) is True
    now = state(database, champion)
    assert (now.champion, now.challenger, now.weight, now.shadow_share) == (1, None, 0, 0)
    assert ledger_events(database, champion)[-1] == "restored"


def test_restore_invalidates_the_lease(champion, lease, second):
    restore(champion, lease, second)
    with pytest.raises(StaleEpoch):
        shift(champion, lease, percent=2).execute(second)
    with pytest.raises(StaleEpoch):
        promotion(champion, lease).execute(second)


def test_restore_keeps_a_promoted_challenger(champion, database, lease, second):
    deferred(shift(champion, lease, percent=100), second)
    deferred(promotion(champion, lease), second)
    assert restore(champion, lease, second) is False
    assert state(database, champion).champion == 2


def test_restore_of_an_older_lease_changes_nothing(champion, database, lease, second):
    begin(champion, second)
    assert restore(champion, lease, second) is False
    assert state(database, champion).challenger == 2


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        ({"stage": "success", "canary_25": "failed", "promote": "upstream_failed"}, "failed at canary_25"),
        ({"stage": "success", "shadow": "skipped"}, "was aborted"),
    ],
)
def test_restore_names_how_the_rollout_ended(champion, database, lease, second, states, reason):
    second["ti"].states.update(states)
    assert restore(champion, lease, second) is True
    with database.connect() as connection:
        assert ledger.ledger_entries(connection, champion.name)[0]["reason"].endswith(reason)


def test_lost_rollout_ends_when_another_begins(champion, database, lease, context, monkeypatch):
    monkeypatch.setattr(leases, "LEASE_DURATION", timedelta(0))
    other = context({"run_id": "manual__other"}, params={"version": 2})
    assert begin(champion, other)["epoch"] == lease["epoch"] + 2
    assert ledger_events(database, champion)[-2:] == ["restored", "staged"]


def rollback(champion):
    return RollBackOperator(task_id="roll_back", use_case=champion.name, reason="it is too slow")


def roll_back(champion, run):
    waiting = deferred(rollback(champion), run)
    assert waiting.method_name == "confirm_live"
    return rollback(champion).confirm_live(run, dict(LIVE), **waiting.kwargs)


def test_rollback_promotes_the_previous_champion_once(champion, database, registry, lease, second, context):
    deferred(shift(champion, lease, percent=100), second)
    deferred(promotion(champion, lease), second)
    click = context({"run_id": "manual__rollback", "triggering_user_name": "bob"})
    assert [roll_back(champion, click) for _ in range(2)] == [1, 1]
    with database.connect() as connection:
        entry, before, *_ = ledger.ledger_entries(connection, champion.name)
    assert (entry["event"], entry["actor"], entry["reason"]) == ("rolled_back", "bob", "it is too slow")
    assert before["event"] == "promoted"
    aliases = registry._client.get_registered_model(champion.name).aliases
    assert {name: int(version) for name, version in aliases.items()} == {"champion": 1}


def test_rollback_without_a_previous_champion_fails(champion, context):
    with pytest.raises(ReleaseError, match="no previous champion"):
        rollback(champion).execute(context())


def test_rollback_that_is_not_live_is_retried(champion, context):
    with pytest.raises(ServiceUnavailable, match="the rollback to version 1 is recorded, but the gateway"):
        rollback(champion).confirm_live(context(), dict(NOT_LIVE), 1)


def test_version_compared_with_another_champion_is_not_begun(champion, context):
    events = {"candidate": [SimpleNamespace(extra={"version": 2})]}
    announced = context(triggering_asset_events=events)
    with pytest.raises(ReleaseError, match="2 was compared with no champion, and version 1 is the champion"):
        begin(champion, announced)
    assert begin(champion, context(params={"version": 2}))["version"] == 2
