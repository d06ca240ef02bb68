from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import count

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy.dialects.postgresql import insert

from include.database.ledger import champion_at, ledger_entries
from include.database.tables import live_state
from include.errors import ReleaseError, StaleEpoch
from include.release import rollout
from include.release.rollout import FULL_WEIGHT, ReleaseState

NAMES = (f"case_{number}" for number in count())
VERSIONS = st.integers(1, 4)
OWNERS = st.sampled_from(["run-a", "run-b"])


def begin(database, name, version, owner="run-a"):
    return rollout.begin(database, name, version, owner=owner, actor="ann")


def shift(database, lease, weight, share=0.0, key=None):
    key = key or f"{lease.use_case}/{lease.version}/{lease.epoch}/{weight}/{share}"
    return rollout.shift(database, lease, weight=weight, shadow_share=share, reason="step", key=key)


def promote(database, lease):
    return rollout.promote(database, lease, reason="better", evidence={})


def release(database, name, version):
    lease = begin(database, name, version, owner=f"run-{version}")
    shift(database, lease, FULL_WEIGHT)
    return promote(database, lease)


def state(database, name):
    with database.connect() as connection:
        return rollout.read_state(connection, name)


def written(database, name):
    with database.connect() as connection:
        return [entry["event"] for entry in ledger_entries(connection, name, limit=1000)][::-1]


@pytest.fixture
def name():
    return next(NAMES)


class Rollouts(RuleBasedStateMachine):
    """Steps of two runs, of their repeated attempts, and rollbacks by a person, in any order."""

    database = None

    def __init__(self):
        super().__init__()
        self.name = next(NAMES)
        self.leases = []
        self.keys = []
        self.before = ReleaseState(self.name)

    def current(self):
        return state(self.database, self.name)

    def stored(self):
        return (self.current(), written(self.database, self.name))

    def valid(self, lease):
        now = self.current()
        return lease.epoch == now.epoch and lease.version == now.challenger

    def rejected(self, step, error=ReleaseError):
        before = self.stored()
        with pytest.raises(error):
            step()
        assert self.stored() == before

    def repeated(self, step):
        step()
        before = self.stored()
        step()
        assert self.stored() == before

    @rule(version=VERSIONS, owner=OWNERS)
    def begin(self, version, owner):
        now = self.current()
        taken = now.challenger is not None and now.owner != owner
        if now.champion == version or taken:
            self.rejected(lambda: begin(self.database, self.name, version, owner))
            return
        self.leases.append(begin(self.database, self.name, version, owner))
        after = self.current()
        assert (after.challenger, after.owner, after.epoch) == (version, owner, now.epoch + 1)
        if now.challenger == version:
            assert (after.weight, after.shadow_share, after.generation) == (
                now.weight, now.shadow_share, now.generation,
            )  # fmt: skip

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), weight=st.sampled_from([0, 200, FULL_WEIGHT]), share=st.sampled_from([0.0, 0.5]))
    def shift(self, data, weight, share):
        lease = data.draw(st.sampled_from(self.leases))
        if self.valid(lease):
            now = self.current()
            self.repeated(lambda: shift(self.database, lease, weight, share))
            after = self.current()
            late = now.weight > weight
            assert after == now if late else (after.weight, after.shadow_share) == (weight, share)
        else:
            self.rejected(lambda: shift(self.database, lease, weight, share), StaleEpoch)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def promote(self, data):
        lease = data.draw(st.sampled_from(self.leases))
        now = self.current()
        if self.valid(lease) and (now.champion is None or now.weight == FULL_WEIGHT):
            self.repeated(lambda: promote(self.database, lease))
            after = self.current()
            assert (after.champion, after.previous) == (lease.version, now.champion)
        elif now.champion == lease.version and now.epoch == lease.epoch:
            assert promote(self.database, lease) == now
        else:
            self.rejected(lambda: promote(self.database, lease))

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), owner=OWNERS)
    def restore(self, data, owner):
        lease = data.draw(st.sampled_from(self.leases))
        now = self.current()
        is_owned = self.valid(lease) and now.owner == owner
        ended = rollout.restore(self.database, lease, owner=owner, actor="ann", reason="teardown")
        assert ended is is_owned
        after = self.current()
        assert after.champion == now.champion
        assert after.challenger is None if ended else after == now

    @rule()
    def roll_back(self):
        now = self.current()
        key = f"click {len(self.keys)}"
        step = self.rollback_step(key)
        if now.previous is None:
            self.rejected(step)
            return
        self.repeated(step)
        self.keys.append(key)
        after = self.current()
        assert (after.champion, after.challenger, after.weight) == (now.previous, None, 0)

    @precondition(lambda self: self.keys)
    @rule(data=st.data())
    def repeat_an_old_rollback(self, data):
        now = self.current()
        self.rollback_step(data.draw(st.sampled_from(self.keys)))()
        assert self.current() == now

    def rollback_step(self, key):
        return lambda: rollout.roll_back(self.database, self.name, actor="ann", reason="worse", key=key)

    @invariant()
    def counters_never_decrease(self):
        now = self.current()
        assert now.epoch >= self.before.epoch
        assert now.generation >= self.before.generation
        split = ("champion", "challenger", "weight", "shadow_share")
        if any(getattr(now, field) != getattr(self.before, field) for field in split):
            assert now.generation > self.before.generation, "the controller would not see the change"
        self.before = now

    @invariant()
    def ledger_names_the_champion(self):
        now = self.current()
        with self.database.connect() as connection:
            moment = connection.exec_driver_sql("SELECT clock_timestamp()").scalar()
            entry = champion_at(connection, self.name, moment)
        assert (entry and entry["version"]) == now.champion


def test_any_order_of_steps_keeps_the_invariants(database):
    class OnPostgres(Rollouts):
        pass

    OnPostgres.database = database
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    limits = settings(max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=checks)
    run_state_machine_as_test(OnPostgres, settings=limits)


def test_promotion_needs_all_traffic_except_for_a_first_model(database, name):
    lease = begin(database, name, 1)
    assert promote(database, lease).champion == 1
    lease = begin(database, name, 2)
    shift(database, lease, 7_500)
    with pytest.raises(ReleaseError, match="75 %"):
        promote(database, lease)
    shift(database, lease, FULL_WEIGHT)
    after = promote(database, lease)
    assert (after.champion, after.previous, after.challenger, after.owner) == (2, 1, None, None)


def test_repeated_begin_keeps_traffic_and_fences_the_older_lease(database, name):
    promote(database, begin(database, name, 1))
    older = begin(database, name, 2, "run-b")
    shift(database, older, 2_500, 1.0)
    newer = begin(database, name, 2, "run-b")
    now = state(database, name)
    assert (now.weight, now.shadow_share) == (2_500, 1.0)
    with pytest.raises(StaleEpoch, match="A newer attempt owns the rollout"):
        shift(database, older, FULL_WEIGHT)
    assert shift(database, newer, 7_500).weight == 7_500


def test_step_repeated_late_changes_nothing(database, name):
    lease = begin(database, name, 1)
    shift(database, lease, 7_500)
    assert shift(database, lease, 200, key="again").weight == 7_500
    assert written(database, name) == ["staged", "shifted"]


def test_concurrent_runs_get_one_rollout(database, name):
    def attempt(owner):
        try:
            return begin(database, name, 7, owner)
        except ReleaseError as error:
            return error

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(attempt, [f"run-{number}" for number in range(8)]))
    winners = [outcome for outcome in outcomes if not isinstance(outcome, ReleaseError)]
    assert len(winners) == 1
    assert state(database, name).epoch == winners[0].epoch
    assert written(database, name) == ["staged"]


def test_concurrent_attempts_leave_one_valid_lease(database, name):
    with ThreadPoolExecutor(2) as pool:
        leases = list(pool.map(lambda _: begin(database, name, 7), range(2)))
    older, newer = sorted(leases, key=lambda lease: lease.epoch)
    assert older.epoch < newer.epoch
    with pytest.raises(StaleEpoch):
        shift(database, older, 200)
    assert shift(database, newer, 200).weight == 200
    assert written(database, name) == ["staged", "shifted"]


def test_second_version_of_a_run_is_staged_in_the_ledger(database, name):
    begin(database, name, 1)
    begin(database, name, 2)
    assert written(database, name) == ["staged", "staged"]


@pytest.mark.parametrize(("weight", "share"), [(-1, 0), (FULL_WEIGHT + 1, 0), (0, 1.1), (0, -0.1)])
def test_split_outside_the_limits_is_rejected(database, name, weight, share):
    lease = begin(database, name, 1)
    with pytest.raises(ReleaseError, match="not in"):
        shift(database, lease, weight, share)


def test_rollback_key_is_used_once_across_rollouts(database, name):
    release(database, name, 1)
    release(database, name, 2)

    def click(key):
        return rollout.roll_back(database, name, actor="ann", reason="worse", key=key)

    assert click("run-1").champion == 1
    release(database, name, 3)
    assert click("run-1").champion == 3


def test_second_rollback_does_not_restore_the_bad_version(database, name):
    release(database, name, 1)
    release(database, name, 2)
    with pytest.raises(ReleaseError, match="version 1 is not the champion, but 2 is"):
        rollout.roll_back(database, name, actor="ann", reason="worse", key="late", version=1)
    rollout.roll_back(database, name, actor="ann", reason="worse", key="first click", version=2)
    with pytest.raises(ReleaseError, match="no previous champion"):
        rollout.roll_back(database, name, actor="ann", reason="worse", key="second click")
    assert state(database, name).champion == 1


def test_unused_use_case_has_an_empty_state(database, name):
    assert state(database, name) == ReleaseState(name)
    assert not rollout.restore(database, rollout.Lease(name, 1, 0, "a"), owner="a", actor="b", reason="late")
    with pytest.raises(ReleaseError, match="no previous champion"):
        rollout.roll_back(database, name, actor="ann", reason="worse", key="click")


def test_is_live_needs_the_newest_generation_to_be_ready(database, name):
    def report(generation, ready):
        values = {"use_case": name, "generation": generation, "ready": ready, "detail": {}}
        statement = insert(live_state).values(values)
        with database.begin() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["use_case"], set_=values))
            return rollout.is_live(connection, name)

    generation = release(database, name, 1).generation
    with database.connect() as connection:
        assert not rollout.is_live(connection, name)
    assert not report(generation - 1, ready=True)
    assert not report(generation, ready=False)
    assert report(generation, ready=True)


def test_all_states_are_ordered_by_name(database):
    names = [next(NAMES), next(NAMES)]
    for use_case in reversed(names):
        begin(database, use_case, 1)
    with database.connect() as connection:
        use_cases = [release_state.use_case for release_state in rollout.read_all_states(connection)]
    assert set(names) <= set(use_cases)
    assert use_cases == sorted(use_cases)


def test_retired_use_case_serves_nothing_and_begins_nothing(database, name):
    release(database, name, 3)
    before = rollout.retire(database, name, actor="ann", reason="replaced")
    retired = state(database, name)
    assert (before.champion, retired.champion, retired.retired) == (3, None, True)
    with pytest.raises(ReleaseError, match="is retired"):
        begin(database, name, 4)
    with database.connect() as connection:
        assert champion_at(connection, name, datetime.now(UTC)) is None
    rollout.retire(database, name, actor="ann", reason="replaced")
    assert written(database, name).count("retired") == 1


def test_reinstated_use_case_may_be_rolled_out(database, name):
    with pytest.raises(ReleaseError, match="not retired"):
        rollout.reinstate(database, name, actor="ann", reason="a mistake")
    rollout.retire(database, name, actor="ann", reason="replaced")
    rollout.reinstate(database, name, actor="ann", reason="a mistake")
    assert begin(database, name, 1).version == 1
    assert written(database, name) == ["retired", "reinstated", "staged"]
