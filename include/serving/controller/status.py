"""The next route and the live state of a use case, from the desired state and the running servers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from include.serving.gateway.config import UNAVAILABLE, Route, Server
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from include.release.rollout import ReleaseState
    from include.serving.controller.instance import Instance


@dataclass(frozen=True, slots=True)
class ControllerStatus:
    """The controller's view of models, servers and problems, replaced as a whole in each step."""

    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    servers: tuple[Server, ...] = ()
    retired: tuple[str, ...] = ()
    problems: tuple[str, ...] = ("the controller is starting",)
    ready: bool = False


def next_route(state: ReleaseState, current: Route, routable: Collection[int]) -> Route:
    """
    Return the route that is closest to `state` and uses only versions in `routable`.

    Until the desired champion is routable, the champion of the `current` route stays. It does not stay when
    the use case is switched off: until the previous version is routable, callers get 503.
    """
    if state.retired:
        return Route(retired=True)
    if state.fallback is not None:
        route = _fallback_route(state.fallback)
        is_routable = route.champion is None or route.champion in routable
        return route if is_routable else replace(route, champion=None, fallback=UNAVAILABLE)
    champion = state.champion
    if champion is not None and champion not in routable:
        champion = current.champion
    if champion is None or state.challenger not in routable or state.challenger == champion:
        return Route(champion)
    return Route(champion, state.challenger, state.weight)


def desired_route(state: ReleaseState) -> Route:
    """Return the route of `state` when all its versions are routable."""
    if state.retired:
        return Route(retired=True)
    if state.fallback is not None:
        return _fallback_route(state.fallback)
    if state.champion is None or state.challenger is None:
        return Route(state.champion)
    return Route(state.champion, state.challenger, state.weight)


def _fallback_route(fallback: Mapping[str, Any]) -> Route:
    version = fallback["version"] if fallback["kind"] == "previous" else None
    return Route(version, fallback=fallback["kind"], reason=fallback["reason"])


def describe_use_case(
    state: ReleaseState, route: Route, get: Callable[[str, int], Instance | None], problem: str
) -> tuple[bool, dict[str, Any]]:
    """
    Return whether `state` is live, and the details for `live_state`.

    Parameters
    ----------
    state
        Desired state of the use case.
    route
        Its route in the gateway.
    get
        Returns the instance of a use case and version.
    problem
        Problem of the gateway or of the fallback, or an empty string.
    """
    servers: dict[str, dict[str, Any]] = {}
    reasons = [problem] if problem else []
    desired = desired_route(state)
    for role, version in (
        ("fallback", desired.champion if desired.fallback else None),
        ("champion", state.champion),
        ("challenger", state.challenger),
    ):
        if version is None or str(version) in servers:
            continue
        servers[str(version)] = _describe_server(role, get(state.use_case, version))
        reason = servers[str(version)]["reason"]
        # A champion that does not answer callers may be away.
        if reason and (role != "champion" or not desired.fallback):
            reasons.append(f"version {version}: {reason}")
    if not reasons and route != desired:
        reasons.append("the gateway does not have this route yet")
    return not reasons, {"servers": servers, "reason": "; ".join(reasons), "route": asdict(route)}


def _describe_server(role: str, instance: Instance | None) -> dict[str, Any]:
    reason = instance.reason if instance else "it is not started yet"
    server = instance.server if instance else None
    address = f"{settings().model_server_host}:{server.port}" if server else None
    return {"role": role, "address": address, "ready": not reason, "reason": reason}
