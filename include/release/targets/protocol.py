"""The protocol of a target, and the controller's report of what it serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from include.release.rollout import ReleaseState


@dataclass(frozen=True, slots=True)
class Served:
    """
    What is served of a use case: whether that is the desired state, and the details for `live_state`.

    `detail` has `servers` by version, with `role`, `address`, `ready` and `reason`; the `reason` why it is
    not the desired state, empty if it is; and the `route`: `champion`, `challenger`, `weight` and `fallback`.
    """

    ready: bool
    detail: dict[str, Any]


class Target(Protocol):
    """
    Serves versions of use cases.

    A controller calls `stage`, `route` and `retire` again and again with the desired states. Each goes some
    steps towards them, and can be killed and repeated at any moment.
    """

    def stage(self, states: Sequence[ReleaseState]) -> None:
        """Make the desired versions ready to serve."""

    def route(self, states: Sequence[ReleaseState]) -> Mapping[str, Served]:
        """Send requests to the desired versions that are ready; return what is served, by use case."""

    def retire(self, states: Sequence[ReleaseState]) -> None:
        """End what the desired states do not need any more."""
