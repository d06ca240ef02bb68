from __future__ import annotations

import pytest

from include.database.ledger import ledger_entries
from include.release import controls, leases, rollout
from include.release.freeze import ERROR_BUDGET, freeze_releases, lifted_at, thaw_releases

NAME = "flight_delay"


def failed_rollout(database, number, weight=200):
    owner = f"run-{number}"
    lease = rollout.begin(database, NAME, 100 + number, owner=owner, actor="nightly")
    rollout.shift(database, lease, weight=weight, shadow_share=0.5, reason="step", key=f"{owner}/{weight}")
    rollout.restore(database, lease, owner=owner, actor="nightly", reason="it failed")


def frozen(database):
    with database.connect() as connection:
        return rollout.read_state(connection, NAME).frozen


def test_third_rollback_in_a_week_freezes_releases(database):
    for number in (1, 2):
        failed_rollout(database, number)
    assert frozen(database) is None
    failed_rollout(database, 3)
    assert frozen(database) == "3 rollbacks within 7 days, 0:00:00"
    with database.connect() as connection:
        assert ledger_entries(connection, NAME, limit=1)[0]["event"] == "frozen"


def test_rollbacks_before_a_lift_do_not_count(database):
    for number in (1, 2, 3):
        failed_rollout(database, number)
    controls.lift(database, NAME, actor="ann", reason="mended")
    failed_rollout(database, 4)
    assert frozen(database) is None


def test_challengers_without_traffic_do_not_count(database):
    for number in (1, 2, 3, 4):
        failed_rollout(database, number, weight=0)
    assert frozen(database) is None


def test_rollouts_of_lost_runs_do_not_count(database):
    for number in (1, 2, 3):
        owner = f"lost-{number}"
        lease = rollout.begin(database, NAME, number, owner=owner, actor="nightly")
        rollout.shift(database, lease, weight=200, shadow_share=0.5, reason="step", key=owner)
        leases.unlock(database, NAME, actor="ann", reason="its run was deleted")
    failed_rollout(database, 4)
    assert frozen(database) is None


@pytest.mark.parametrize("name", ["flight_delay", "never_deployed"])
def test_freeze_is_recorded_once(database, name):
    with database.begin() as connection:
        assert freeze_releases(connection, name, actor="ann", reason="holidays")
        assert not freeze_releases(connection, name, actor="bob", reason="again")
        assert [entry["reason"] for entry in ledger_entries(connection, name)] == ["holidays"]


def test_freeze_by_the_budget_thaws_by_itself(database):
    cause = {"actor": "airflow", "cause": ERROR_BUDGET}
    with database.begin() as connection:
        assert not thaw_releases(connection, NAME, reason="recovered", **cause)
        assert freeze_releases(connection, NAME, reason="burnt", **cause)
        assert not freeze_releases(connection, NAME, reason="burnt again", **cause)
        assert thaw_releases(connection, NAME, reason="recovered", **cause)
        assert [entry["event"] for entry in ledger_entries(connection, NAME)] == ["lifted", "frozen"]
        # Only what a person lifts begins a new count.
        assert lifted_at(connection, NAME) is None
    assert frozen(database) is None


def test_freeze_by_a_person_does_not_thaw(database):
    with database.begin() as connection:
        freeze_releases(connection, NAME, actor="airflow", reason="burnt", cause=ERROR_BUDGET)
        assert freeze_releases(connection, NAME, actor="ann", reason="holidays")
        assert not thaw_releases(connection, NAME, actor="airflow", reason="recovered", cause=ERROR_BUDGET)
    assert frozen(database) == "holidays"
    controls.lift(database, NAME, actor="ann", reason="mended")
    with database.connect() as connection:
        assert lifted_at(connection, NAME) is not None
