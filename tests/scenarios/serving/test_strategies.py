"""Each rollout strategy on the real gateway, under traffic: no failed request, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from include.declarations import Rollout
from include.release import rollout
from include.release.replay import replay_requests
from include.release.rollout_status import analyse_stage, database_time
from include.release.strategies import strategy_of
from include.use_cases.flight_delay import USE_CASE
from tests.include.serving.conftest import wait_for

if TYPE_CHECKING:
    from include.release.analysis import AnalysisOutcome

# The two models answer 0.25 and 0.75 to every request.
POLICY = Rollout(
    steps=(25, 100), bake=0, patience=60, minimum_requests=20, maximum_prediction_shift=0.99,
    maximum_distribution_shift=0.99,
)  # fmt: skip
RUN = "deployment/1"


def declare(strategy: str, **changes):
    policy = POLICY.model_copy(update={"strategy": strategy, **changes})
    return USE_CASE.model_copy(update={"name": "delay", "rollout": policy})


def begin(plane):
    plane.settle(challenger=None)
    lease = rollout.begin(plane.database, "delay", 2, owner=RUN, actor="ann")
    plane.settle()
    return lease


def take_step(plane, lease, step):
    """Shift the traffic as the operator does, and return when the step began."""
    since = database_time(plane.database)
    rollout.shift(
        plane.database, lease, weight=100 * step.percent, shadow_share=step.shadow_share,
        reason=step.task_id, key=f"{step.task_id}/{lease.epoch}",
    )  # fmt: skip
    plane.settle()
    return since


def analyse(plane, use_case, since, stage) -> AnalysisOutcome:
    with plane.database.connect() as connection:
        return analyse_stage(connection, use_case, 2, since=since, stage=stage)


def wait_for_outcome(plane, use_case, since, stage, outcome) -> None:
    step = plane, use_case, since, stage
    wait_for(lambda: analyse(*step).outcome == outcome, 240, lambda: analyse(*step).reason)


@pytest.mark.parametrize(
    ("strategy", "changes"),
    [
        ("canary", {}),
        ("canary", {"shadow_share": 0.0}),
        ("canary", {"count_mirrored": True}),
        ("blue_green", {}),
        ("direct", {}),
    ],
)
def test_strategy_promotes_without_a_failed_request(served, strategy, changes) -> None:
    use_case = declare(strategy, **changes)
    steps = strategy_of(use_case.rollout)
    with served.traffic() as traffic:
        lease = begin(served)
        for step in (*steps.shadow(use_case.rollout), *steps.exposed(use_case.rollout)):
            since = take_step(served, lease, step)
            stage = "canary" if step.percent else "shadow"
            if step.analysed:
                wait_for_outcome(served, use_case, since, stage, "promote")
        rollout.promote(served.database, lease, reason="passed", evidence={})
        served.settle()
        before = traffic.versions.copy()
        traffic.wait_for_responses(50)
        assert traffic.versions[2] > before[2]
    assert set(traffic.statuses) == {200}


def test_model_without_callers_releases_a_further_version(served) -> None:
    use_case = declare("batch_only")
    lease = begin(served)
    steps = strategy_of(use_case.rollout)
    assert not (steps.shadow(use_case.rollout) + steps.exposed(use_case.rollout))
    state = rollout.promote(
        served.database, lease, reason="batch", evidence={}, needs_traffic=steps.needs_traffic
    )
    served.settle()
    assert (state.champion, state.previous) == (2, 1)


@pytest.mark.parametrize("mood", ["fail", "hang"])
def test_bad_version_is_switched_back_unnoticed(served, mood) -> None:
    use_case = declare("blue_green")
    (switch,) = strategy_of(use_case.rollout).exposed(use_case.rollout)
    with served.traffic() as traffic:
        traffic.wait_for_responses(30)
        lease = begin(served)
        served.make.mood(2).write_text(mood)
        since = take_step(served, lease, switch)
        wait_for_outcome(served, use_case, since, "canary", "roll_back")
        assert rollout.restore(served.database, lease, owner=RUN, actor="ann", reason="it fails")
        # The champion's server never stopped.
        served.settle(seconds=5)
        traffic.wait_for_responses(50)
    assert set(traffic.statuses) == {200}
    assert served.live()[1]["route"]["challenger"] is None


def test_step_without_a_collector_never_passes(served) -> None:
    use_case = declare("canary")
    served.collector.kill()
    served.collector.wait()
    with served.traffic() as traffic:
        lease = begin(served)
        since = take_step(served, lease, strategy_of(use_case.rollout).exposed(use_case.rollout)[0])
        traffic.wait_for_responses(200)
        analysis = analyse(served, use_case, since, "canary")
        assert analysis.outcome == "inconclusive"
        assert "the access log" in analysis.reason
        served.start_collector()
        wait_for_outcome(served, use_case, since, "canary", "promote")


def test_version_that_hangs_is_noticed_in_the_shadow(served) -> None:
    use_case = declare("canary")
    with served.traffic():
        lease = begin(served)
        served.make.mood(2).write_text("hang")
        since = take_step(served, lease, strategy_of(use_case.rollout).shadow(use_case.rollout)[0])
        wait_for_outcome(served, use_case, since, "shadow", "roll_back")
    rollout.restore(served.database, lease, owner=RUN, actor="ann", reason="it hangs")


def test_few_requests_are_enough_if_they_are_replayed(served) -> None:
    use_case = declare("canary", replay=25)
    for _ in range(30):
        assert served.ask().status_code == 200
    wait_for(lambda: len(served.logged("role = 'champion'")) == 30)
    lease = begin(served)
    since = take_step(served, lease, strategy_of(use_case.rollout).shadow(use_case.rollout)[0])
    assert analyse(served, use_case, since, "shadow").outcome == "inconclusive"
    address = f"http://{served.live()[1]['servers']['2']['address']}"
    assert replay_requests(served.database, use_case, 2, address) == 25
    wait_for_outcome(served, use_case, since, "shadow", "promote")
    [first, *_] = served.logged("role = 'replay'")
    assert (first["version"], first["status"], first["predictions"]) == (2, 200, [0.75])
    served.make.mood(2).write_text("hang")
    assert replay_requests(served.database, use_case, 2, address) == 25
    wait_for_outcome(served, use_case, since, "shadow", "roll_back")
    rollout.restore(served.database, lease, owner=RUN, actor="ann", reason="it hangs")
