from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
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


def shift(database, hold, weight, share=0.0, key=None):
    key = key or f"{hold.use_case}/{hold.version}/{hold.epoch}/{weight}/{share}"
    return rollout.shift(database, hold, weight=weight, shadow_share=share, reason="step", key=key)


def promote(database, hold):
    return rollout.promote(database, hold, reason="better", evidence={})


def release(database, name, version):
    hold = begin(database, name, version, owner=f"run-{version}")
    shift(database, hold, FULL_WEIGHT)
    return promote(database, hold)


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
    """Any order of steps by two runs, their killed attempts, and a person who rolls back."""

    database = None

    def __init__(self):
        super().__init__()
        self.name = next(NAMES)
        self.holds = []
        self.keys = []
        self.before = ReleaseState(self.name)

    def valid(self, hold):
        now = state(self.database, self.name)
        return hold.epoch == now.epoch and hold.version == now.challenger

    def refused(self, step, error=ReleaseError):
        was = state(self.database, self.name), written(self.database, self.name)
        with pytest.raises(error):
            step()
        assert (state(self.database, self.name), written(self.database, self.name)) == was

    def repeated(self, step):
        step()
        was = state(self.database, self.name), written(self.database, self.name)
        step()
        assert (state(self.database, self.name), written(self.database, self.name)) == was

    @rule(version=VERSIONS, owner=OWNERS)
    def begin(self, version, owner):
        now = state(self.database, self.name)
        taken = now.challenger is not None and now.owner != owner
        if now.champion == version or taken:
            self.refused(lambda: begin(self.database, self.name, version, owner))
            return
        self.holds.append(begin(self.database, self.name, version, owner))
        after = state(self.database, self.name)
        assert (after.challenger, after.owner, after.epoch) == (version, owner, now.epoch + 1)
        if now.challenger == version:
            assert (after.weight, after.shadow_share, after.generation) == (
                now.weight, now.shadow_share, now.generation,
            )  # fmt: skip

    @precondition(lambda self: self.holds)
    @rule(data=st.data(), weight=st.sampled_from([0, 200, FULL_WEIGHT]), share=st.sampled_from([0.0, 0.5]))
    def shift(self, data, weight, share):
        hold = data.draw(st.sampled_from(self.holds))
        if self.valid(hold):
            now = state(self.database, self.name)
            self.repeated(lambda: shift(self.database, hold, weight, share))
            after = state(self.database, self.name)
            late = now.weight > weight
            assert after == now if late else (after.weight, after.shadow_share) == (weight, share)
        else:
            self.refused(lambda: shift(self.database, hold, weight, share), StaleEpoch)

    @precondition(lambda self: self.holds)
    @rule(data=st.data())
    def promote(self, data):
        hold = data.draw(st.sampled_from(self.holds))
        now = state(self.database, self.name)
        if self.valid(hold) and (now.champion is None or now.weight == FULL_WEIGHT):
            self.repeated(lambda: promote(self.database, hold))
            after = state(self.database, self.name)
            assert (after.champion, after.previous) == (hold.version, now.champion)
        elif now.champion == hold.version and now.epoch == hold.epoch:
            assert promote(self.database, hold) == now
        else:
            self.refused(lambda: promote(self.database, hold))

    @rule(version=VERSIONS, owner=OWNERS)
    def restore(self, version, owner):
        now = state(self.database, self.name)
        ended = rollout.restore(
            self.database, self.name, version, owner=owner, actor="ann", reason="teardown"
        )
        assert ended is (now.challenger == version and now.owner == owner)
        after = state(self.database, self.name)
        assert after.champion == now.champion
        assert after.challenger is None if ended else after == now

    @rule()
    def roll_back(self):
        now = state(self.database, self.name)
        key = f"click {len(self.keys)}"
        step = self.person_clicks(key)
        if now.previous is None:
            self.refused(step)
            return
        self.repeated(step)
        self.keys.append(key)
        after = state(self.database, self.name)
        assert (after.champion, after.challenger, after.weight) == (now.previous, None, 0)

    @precondition(lambda self: self.keys)
    @rule(data=st.data())
    def click_again_on_an_old_rollback(self, data):
        now = state(self.database, self.name)
        self.person_clicks(data.draw(st.sampled_from(self.keys)))()
        assert state(self.database, self.name) == now

    def person_clicks(self, key):
        return lambda: rollout.roll_back(self.database, self.name, actor="ann", reason="worse", key=key)

    @invariant()
    def counters_never_fall(self):
        now = state(self.database, self.name)
        assert now.epoch >= self.before.epoch
        assert now.generation >= self.before.generation
        split = ("champion", "challenger", "weight", "shadow_share")
        if any(getattr(now, field) != getattr(self.before, field) for field in split):
            assert now.generation > self.before.generation, "the controller would not notice"
        self.before = now

    @invariant()
    def the_ledger_knows_the_champion(self):
        now = state(self.database, self.name)
        with self.database.connect() as connection:
            moment = connection.exec_driver_sql("SELECT clock_timestamp()").scalar()
            entry = champion_at(connection, self.name, moment)
        assert (entry and entry["version"]) == now.champion


def test_any_order_of_steps_keeps_the_promises(database):
    class OnPostgres(Rollouts):
        pass

    OnPostgres.database = database
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        OnPostgres,
        settings=settings(
            max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=checks
        ),
    )


def test_a_first_model_needs_no_traffic_and_the_next_one_all_of_it(database, name):
    hold = begin(database, name, 1)
    assert promote(database, hold).champion == 1
    hold = begin(database, name, 2)
    shift(database, hold, 7_500)
    with pytest.raises(ReleaseError, match="75 %"):
        promote(database, hold)
    shift(database, hold, FULL_WEIGHT)
    after = promote(database, hold)
    assert (after.champion, after.previous, after.challenger, after.owner) == (2, 1, None, None)


def test_a_killed_attempt_resumes_with_its_traffic_and_fences_out_its_elder(database, name):
    promote(database, begin(database, name, 1))
    elder = begin(database, name, 2, "run-b")
    shift(database, elder, 2_500, 1.0)
    younger = begin(database, name, 2, "run-b")
    now = state(database, name)
    assert (now.weight, now.shadow_share) == (2_500, 1.0)
    with pytest.raises(StaleEpoch, match="A newer attempt owns the rollout"):
        shift(database, elder, FULL_WEIGHT)
    assert shift(database, younger, 7_500).weight == 7_500


def test_a_step_that_is_repeated_late_takes_no_traffic_away_and_writes_nothing(database, name):
    hold = begin(database, name, 1)
    shift(database, hold, 7_500)
    assert shift(database, hold, 200, key="again").weight == 7_500
    assert written(database, name) == ["staged", "shifted"]


def test_of_two_runs_that_begin_at_once_one_gets_the_rollout(database, name):
    def attempt(owner):
        try:
            return begin(database, name, 7, owner)
        except ReleaseError as error:
            return error

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(attempt, [f"run-{number}" for number in range(8)]))
    won = [outcome for outcome in outcomes if not isinstance(outcome, ReleaseError)]
    assert len(won) == 1
    assert state(database, name).epoch == won[0].epoch
    assert written(database, name) == ["staged"]


def test_of_two_attempts_of_one_run_that_begin_at_once_only_the_younger_may_act(database, name):
    with ThreadPoolExecutor(2) as pool:
        holds = list(pool.map(lambda _: begin(database, name, 7), range(2)))
    elder, younger = sorted(holds, key=lambda hold: hold.epoch)
    assert elder.epoch < younger.epoch
    with pytest.raises(StaleEpoch):
        shift(database, elder, 200)
    assert shift(database, younger, 200).weight == 200
    assert written(database, name) == ["staged", "shifted"]


def test_a_second_version_of_the_same_run_is_written_too(database, name):
    begin(database, name, 1)
    begin(database, name, 2)
    assert written(database, name) == ["staged", "staged"]


@pytest.mark.parametrize(("weight", "share"), [(-1, 0), (FULL_WEIGHT + 1, 0), (0, 1.1), (0, -0.1)])
def test_an_impossible_split_is_refused(database, name, weight, share):
    hold = begin(database, name, 1)
    with pytest.raises(ReleaseError, match="not in"):
        shift(database, hold, weight, share)


def test_the_key_of_a_rollback_counts_even_after_the_next_rollout(database, name):
    release(database, name, 1)
    release(database, name, 2)

    def click(key):
        return rollout.roll_back(database, name, actor="ann", reason="worse", key=key)

    assert click("run-1").champion == 1
    release(database, name, 3)
    assert click("run-1").champion == 3


def test_two_clicks_on_rollback_do_not_bring_the_bad_version_back(database, name):
    release(database, name, 1)
    release(database, name, 2)
    rollout.roll_back(database, name, actor="ann", reason="worse", key="first click")
    with pytest.raises(ReleaseError, match="no previous champion"):
        rollout.roll_back(database, name, actor="ann", reason="worse", key="second click")
    assert state(database, name).champion == 1


def test_a_use_case_that_nobody_touched_is_empty_and_has_nothing_to_restore(database, name):
    assert state(database, name) == ReleaseState(name)
    assert not rollout.restore(database, name, 1, owner="run-a", actor="ann", reason="teardown")
    with pytest.raises(ReleaseError, match="no previous champion"):
        rollout.roll_back(database, name, actor="ann", reason="worse", key="click")


def test_is_live_only_when_the_newest_generation_was_reported_ready(database, name):
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


def test_reads_every_use_case_by_name(database):
    names = [next(NAMES), next(NAMES)]
    for each in reversed(names):
        begin(database, each, 1)
    with database.connect() as connection:
        found = [each.use_case for each in rollout.read_all_states(connection)]
    assert set(names) <= set(found)
    assert found == sorted(found)
