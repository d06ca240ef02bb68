"""Rollout strategies: which steps a challenger passes between its smoke test and its promotion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from include.declarations import Rollout, Strategy


@dataclass(frozen=True, slots=True)
class RolloutStep:
    """
    Traffic of a challenger in one step of its rollout.

    It answers `percent` of the requests, and gets copies of `shadow_share` (0 to 1) of the champion's. A step
    that is not `analysed` ends when the gateway has the route.
    """

    task_id: str
    percent: int = 0
    shadow_share: float = 0.0
    analysed: bool = True


@dataclass(frozen=True, slots=True)
class RolloutStrategy:
    """
    Steps of a rollout; staging, approval, promotion and the way back are the same for all strategies.

    `exposed` are the steps after the approval. `smoke_requests` are sent to the staged version under load.
    Without `needs_traffic` a version is promoted although it never answered a request.
    """

    exposed: Callable[[Rollout], tuple[RolloutStep, ...]]
    has_shadow: bool = True
    smoke_requests: int = 50
    needs_traffic: bool = True

    def shadow(self, rollout: Rollout) -> tuple[RolloutStep, ...]:
        """Return the steps before the approval, which callers do not notice: none without copies."""
        if not self.has_shadow or not rollout.shadow_share:
            return ()
        return (RolloutStep("shadow", shadow_share=rollout.shadow_share),)


def strategy_of(rollout: Rollout) -> RolloutStrategy:
    """Return the strategy that a use case declares."""
    return STRATEGIES[rollout.strategy]


def _rising_shares(rollout: Rollout) -> tuple[RolloutStep, ...]:
    copies = rollout.shadow_share if rollout.count_mirrored else 0.0
    return tuple(
        RolloutStep(f"canary_{percent}", percent, shadow_share=copies if percent < 100 else 0.0)
        for percent in rollout.steps
    )


def _switch(rollout: Rollout) -> tuple[RolloutStep, ...]:
    return (RolloutStep("switch", 100),)


def _switch_unwatched(rollout: Rollout) -> tuple[RolloutStep, ...]:
    return (RolloutStep("switch", 100, analysed=False),)


def _no_traffic(rollout: Rollout) -> tuple[RolloutStep, ...]:
    return ()


STRATEGIES: Mapping[Strategy, RolloutStrategy] = {
    "canary": RolloutStrategy(_rising_shares),
    "blue_green": RolloutStrategy(_switch, smoke_requests=500),
    "direct": RolloutStrategy(_switch_unwatched, has_shadow=False),
    "batch_only": RolloutStrategy(_no_traffic, has_shadow=False, needs_traffic=False),
}
