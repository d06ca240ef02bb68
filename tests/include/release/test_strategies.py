"""Steps of each rollout strategy."""

from __future__ import annotations

import pytest

from include.declarations import Rollout
from include.release.strategies import STRATEGIES, strategy_of


@pytest.mark.parametrize(
    ("rollout", "shadow", "exposed"),
    [
        (Rollout(), ["shadow"], ["canary_2", "canary_25", "canary_75", "canary_100"]),
        (Rollout(shadow_share=0, steps=(50, 100)), [], ["canary_50", "canary_100"]),
        (Rollout(strategy="blue_green"), ["shadow"], ["switch"]),
        (Rollout(strategy="blue_green", shadow_share=0), [], ["switch"]),
        (Rollout(strategy="direct"), [], ["switch"]),
        (Rollout(strategy="batch_only"), [], []),
    ],
)
def test_strategy_has_its_steps(rollout, shadow, exposed):
    strategy = strategy_of(rollout)
    assert [step.task_id for step in strategy.shadow(rollout)] == shadow
    assert [step.task_id for step in strategy.exposed(rollout)] == exposed


@pytest.mark.parametrize("name", ["canary", "blue_green", "direct"])
def test_strategy_with_callers_ends_at_all_traffic(name):
    assert STRATEGIES[name].needs_traffic
    assert STRATEGIES[name].exposed(Rollout())[-1].percent == 100


def test_copies_in_canary_steps_are_declared():
    shares = [step.shadow_share for step in STRATEGIES["canary"].exposed(Rollout(count_mirrored=True))]
    assert shares == [1.0, 1.0, 1.0, 0.0]
    assert not any(step.shadow_share for step in STRATEGIES["canary"].exposed(Rollout()))
