from __future__ import annotations

from itertools import count

import pytest

from include.database.ledger import ledger_entries
from include.declarations import Fallback
from include.errors import ReleaseError, StaleEpoch
from include.release import controls, rollout
from include.release.rollout import FULL_WEIGHT

NAMES = (f"controlled_{number}" for number in count())
WHO = {"actor": "ann", "reason": "it is wrong"}


@pytest.fixture
def released(database):
    """Return a use case with champion 2 and previous 1."""
    name = next(NAMES)
    for version in (1, 2):
        lease = begin(database, name, version)
        shift(database, lease, FULL_WEIGHT)
        rollout.promote(database, lease, reason="better", evidence={})
    return name


def begin(database, name, version=3):
    return rollout.begin(database, name, version, owner=f"run-{version}", actor="nightly")


def shift(database, lease, weight):
    key = f"{lease.use_case}/{lease.version}/{weight}"
    return rollout.shift(database, lease, weight=weight, shadow_share=0.0, reason="step", key=key)


def state(database, name):
    with database.connect() as connection:
        return rollout.read_state(connection, name)


def newest(database, name):
    with database.connect() as connection:
        return ledger_entries(connection, name, limit=1)[0]


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("unavailable", {"kind": "unavailable"}),
        ("constant:0.2", {"kind": "constant", "value": 0.2}),
        ("baseline", {"kind": "baseline", "version": 2}),
        ("previous", {"kind": "previous", "version": 1}),
    ],
)
def test_switching_off_states_what_callers_get(database, released, text, content):
    after = controls.switch_off(database, released, Fallback.parse(text), **WHO)
    assert after.fallback == content | {"reason": "it is wrong"}
    entry = newest(database, released)
    assert (entry["event"], entry["actor"], entry["version"]) == ("switched_off", "ann", 2)
    assert controls.switch_off(database, released, Fallback.parse(text), **WHO) == after
    assert newest(database, released)["id"] == entry["id"]


def test_switching_off_ends_the_rollout(database, released):
    lease = begin(database, released)
    controls.switch_off(database, released, Fallback(), **WHO)
    assert state(database, released).challenger is None
    with pytest.raises(StaleEpoch):
        shift(database, lease, 200)


def test_switched_off_use_case_is_not_released(database, released):
    controls.switch_off(database, released, Fallback(), **WHO)
    with pytest.raises(ReleaseError, match=r"is switched off: it is wrong.*airworthy switch on"):
        begin(database, released)
    controls.switch_on(database, released, **WHO)
    assert state(database, released).fallback is None
    assert begin(database, released).version == 3


def test_switching_on_what_is_on_is_an_error(database, released):
    with pytest.raises(ReleaseError, match="not switched off"):
        controls.switch_on(database, released, **WHO)


def test_fallback_needs_the_version_that_it_names(database):
    name = next(NAMES)
    with pytest.raises(ReleaseError, match="no version for the fallback previous"):
        controls.switch_off(database, name, Fallback(kind="previous"), **WHO)
    assert controls.switch_off(database, name, Fallback(), **WHO).fallback["kind"] == "unavailable"


def test_retired_use_case_is_not_switched(database, released):
    rollout.retire(database, released, actor="ann", reason="replaced")
    with pytest.raises(ReleaseError, match="is retired"):
        controls.switch_off(database, released, Fallback(), **WHO)


def test_frozen_releases_wait_until_the_freeze_is_lifted(database, released):
    lease = begin(database, released)
    shift(database, lease, FULL_WEIGHT)
    assert controls.freeze(database, released, **WHO)
    assert not controls.freeze(database, released, **WHO)
    for step in (
        lambda: begin(database, released),
        lambda: shift(database, lease, FULL_WEIGHT),
        lambda: rollout.promote(database, lease, reason="better", evidence={}),
    ):
        with pytest.raises(ReleaseError, match="frozen: it is wrong"):
            step()
    assert rollout.restore(database, lease, owner="run-3", actor="ann", reason="teardown")
    controls.lift(database, released, actor="ann", reason="mended")
    assert newest(database, released)["evidence"] == {"frozen": "it is wrong"}
    assert begin(database, released).version == 3
    with pytest.raises(ReleaseError, match="not frozen"):
        controls.lift(database, released, **WHO)


def test_pause_and_resume_are_recorded_once(database, released):
    begin(database, released)
    controls.pause(database, released, **WHO)
    controls.pause(database, released, **WHO)
    assert state(database, released).paused
    assert newest(database, released)["event"] == "paused"
    controls.resume(database, released, **WHO)
    assert not state(database, released).paused
    with pytest.raises(ReleaseError, match="not paused"):
        controls.resume(database, released, **WHO)


def test_skip_counts_for_the_present_step_only(database, released):
    lease = begin(database, released)
    with pytest.raises(ReleaseError, match="cannot be skipped"):
        controls.skip_step(database, released, **WHO)
    shift(database, lease, 200)
    controls.skip_step(database, released, **WHO)
    skipped = state(database, released)
    assert skipped.skipped == skipped.generation
    assert newest(database, released)["evidence"] == {"weight": 200, "shadow_share": 0.0}
    moved = shift(database, lease, 2_500)
    assert moved.skipped != moved.generation


def test_abort_gives_the_champion_all_traffic(database, released):
    lease = begin(database, released)
    shift(database, lease, 2_500)
    controls.abort(database, released, **WHO)
    after = state(database, released)
    assert (after.champion, after.challenger, after.weight) == (2, None, 0)
    with pytest.raises(StaleEpoch):
        rollout.promote(database, lease, reason="late", evidence={})


@pytest.mark.parametrize("name", ["pause", "resume", "skip", "abort"])
def test_without_a_rollout_there_is_nothing_to_steer(database, released, name):
    before = newest(database, released)
    with pytest.raises(ReleaseError, match="No version"):
        controls.ACTIONS[name](database, released, **WHO)
    assert newest(database, released) == before
