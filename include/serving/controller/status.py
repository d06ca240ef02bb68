"""From what is desired and what runs: the next route, and what is live."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from include.serving.gateway.config import Route, Server
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from include.release.rollout import ReleaseState
    from include.serving.controller.instance import Instance


@dataclass(frozen=True, slots=True)
class ControllerStatus:
    """The controller's picture of the world, replaced as a whole at each look."""

    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    servers: tuple[Server, ...] = ()
    problems: tuple[str, ...] = ("the controller has just begun",)
    ready: bool = False


def next_route(state: ReleaseState, now: Route, routable: Collection[int]) -> Route:
    """Return the best route towards `state`: who is not there yet waits, and the champion until now stays."""
    champion = state.champion
    if champion is not None and champion not in routable:
        champion = now.champion
    if champion is None or state.challenger not in routable or state.challenger == champion:
        return Route(champion)
    return Route(champion, state.challenger, state.weight)


def wanted_route(state: ReleaseState) -> Route:
    """Return the route that `state` asks for when everything runs."""
    if state.champion is None or state.challenger is None:
        return Route(state.champion)
    return Route(state.champion, state.challenger, state.weight)


def describe_use_cases(
    state: ReleaseState, route: Route, get: Callable[[str, int], Instance | None], problem: str
) -> tuple[bool, dict[str, Any]]:
    """Return whether `state` is live, and the details: a server each, the route, and why it is not."""
    servers: dict[str, dict[str, Any]] = {}
    reasons = [problem] if problem else []
    for role, version in (("champion", state.champion), ("challenger", state.challenger)):
        if version is None:
            continue
        instance = get(state.use_case, version)
        reason = instance.reason if instance else "it is not started yet"
        server = instance.server if instance else None
        address = f"{settings().model_server_host}:{server.port}" if server else None
        servers[str(version)] = {"role": role, "address": address, "ready": not reason, "reason": reason}
        if reason:
            reasons.append(f"version {version}: {reason}")
    if not reasons and route != wanted_route(state):
        reasons.append("the gateway does not route so yet")
    detail = {"servers": servers, "reason": "; ".join(reasons)}
    detail["route"] = {name: getattr(route, name) for name in Route.__slots__}
    return not reasons, detail
