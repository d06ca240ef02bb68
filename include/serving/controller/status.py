"""The next route and the live state of a use case, from the desired state and the running servers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from include.serving.gateway.config import UNAVAILABLE, Route, Server
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from include.database.table_checks import NewestCheck
    from include.declarations import Slo
    from include.release.rollout import ReleaseState
    from include.serving.controller.instance import Instance


@dataclass(frozen=True, slots=True)
class ControllerStatus:
    """The controller's view of models, servers and problems, replaced as a whole in each step."""

    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    servers: tuple[Server, ...] = ()
    objectives: Mapping[str, Slo] = field(default_factory=dict)
    silences: Mapping[str, float] = field(default_factory=dict)
    checks: Mapping[str, NewestCheck] = field(default_factory=dict)
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
    state: ReleaseState, route: Route, replicas: Callable[[str, int], Sequence[Instance]], problem: str
) -> tuple[bool, dict[str, Any]]:
    """
    Return whether `state` is live, and the details for `live_state`.

    Parameters
    ----------
    state
        Desired state of the use case.
    route
        Its route in the gateway.
    replicas
        Returns the instances of a use case and version.
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
        servers[str(version)] = _describe_servers(role, replicas(state.use_case, version))
        reason = servers[str(version)]["reason"]
        # A champion that does not answer callers may be away.
        if reason and (role != "champion" or not desired.fallback):
            reasons.append(f"version {version}: {reason}")
    if not reasons and route != desired:
        reasons.append("the gateway does not have this route yet")
    return not reasons, {"servers": servers, "reason": "; ".join(reasons), "route": asdict(route)}


def _describe_servers(role: str, replicas: Sequence[Instance]) -> dict[str, Any]:
    """Return the details of a version: of all its servers, and of the first that answers alone."""
    details = [
        {
            "replica": instance.replica,
            "address": _address_of(instance),
            "ready": not instance.reason,
            "reason": instance.reason,
        }
        for instance in replicas
    ]
    reasons = [_reason_of(instance, len(replicas)) for instance in replicas if instance.reason]
    if not replicas:
        reasons = ["it is not started yet"]
    in_use = next((detail for detail in details if detail["ready"]), details[0] if details else {})
    return {
        "role": role,
        "address": in_use.get("address"),
        "ready": not reasons,
        "reason": "; ".join(reasons),
        "replicas": details,
    }


def _address_of(instance: Instance) -> str | None:
    return f"{settings().model_server_host}:{instance.server.port}" if instance.server else None


def _reason_of(instance: Instance, n_replicas: int) -> str:
    return instance.reason if n_replicas == 1 else f"replica {instance.replica}: {instance.reason}"
