"""This machine as a target: model servers behind HAProxy."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from include.errors import ServiceUnavailable
from include.release.targets.protocol import Served
from include.serving import paths
from include.serving.controller.status import describe_use_case, next_route
from include.serving.fallback.answers import prepare_fallback
from include.serving.gateway.config import Route
from include.serving.shadow_target import ShadowTarget, write_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from include.release.rollout import ReleaseState
    from include.serving.controller.fleet import Fleet
    from include.serving.gateway.haproxy import Gateway

_log = logging.getLogger(__name__)


class LocalTarget:
    """
    Reconciles model servers, HAProxy and shadows with desired states.

    Parameters
    ----------
    fleet, gateway
        The model servers, and HAProxy.
    replicas
        Returns the declared number of model servers of each use case.
    """

    def __init__(self, fleet: Fleet, gateway: Gateway, replicas: Callable[[], Mapping[str, int]]) -> None:
        # What is wrong with the gateway, or an empty string.
        self.problem = ""
        self._fleet = fleet
        self._gateway = gateway
        self._declared_replicas = replicas
        self._replicas: dict[str, int] = {}
        self._adopted = False
        self._logged_problem = ""

    def stage(self, states: Sequence[ReleaseState]) -> None:
        """Start the model servers of all desired versions."""
        if not self._adopted:
            self._fleet.adopt(self._gateway.servers())
            self._adopted = True
        # While a declaration is invalid, its last number counts.
        self._replicas |= self._declared_replicas()
        needed = _needed_versions(states, self._gateway.routes())
        self._fleet.set_desired(
            {(use_case, version): self._replicas.get(use_case, 1) for use_case, version in needed}
        )
        self._fleet.step()

    def route(self, states: Sequence[ReleaseState]) -> dict[str, Served]:
        """Make HAProxy and the shadows use the desired versions that are ready."""
        fallback_problems = {state.use_case: prepare_fallback(state) for state in states}
        self.problem = self._update_gateway(states)
        self._log_problem()
        for state in states:
            write_target(paths.shadow_file(state.use_case), self._shadow_target(state))
        routes = self._gateway.routes()
        served = {}
        for state in states:
            route = routes.get(state.use_case, Route())
            problem = self.problem or fallback_problems[state.use_case]
            ready, detail = describe_use_case(state, route, self._fleet.replicas, problem)
            served[state.use_case] = Served(ready, detail)
        return served

    def retire(self, states: Sequence[ReleaseState]) -> None:
        """End the model servers whose drain is over; `stage` said which are not desired any more."""
        self._fleet.end_drained()

    def _update_gateway(self, states: Sequence[ReleaseState]) -> str:
        """Set HAProxy's servers and routes; return its first problem, or an empty string."""
        problem = ""
        current_routes = self._gateway.routes()
        try:
            self._gateway.set_servers(self._fleet.servers())
        except ServiceUnavailable as error:
            problem = str(error)
        servers = self._gateway.servers()
        routes = {}
        for state in states:
            routable = {server.version for server in servers if server.use_case == state.use_case}
            current = current_routes.get(state.use_case, Route())
            routes[state.use_case] = next_route(state, current, routable)
        try:
            self._gateway.set_routes(routes)
        except ServiceUnavailable as error:
            problem = problem or str(error)
        return problem

    def _log_problem(self) -> None:
        """Log a problem of the gateway once, and once that it is solved."""
        if self.problem != self._logged_problem:
            self._logged_problem = self.problem
            _log.warning("%s", self.problem or "HAProxy accepts servers and routes again")

    def _shadow_target(self, state: ReleaseState) -> ShadowTarget | None:
        """Return the target of the champion's copies; None without shadowing or a ready challenger."""
        if state.champion is None or state.challenger is None or state.shadow_share <= 0:
            return None
        replicas = self._fleet.replicas(state.use_case, state.challenger)
        addresses = tuple(instance.server.address for instance in replicas if instance.server)
        if not addresses:
            return None
        return ShadowTarget(state.champion, state.challenger, addresses, state.shadow_share)


def _needed_versions(states: Sequence[ReleaseState], routes: Mapping[str, Route]) -> set[tuple[str, int]]:
    """Return the desired versions, and those in the current routes, which serve until others are ready."""
    return {
        (use_case, version) for use_case, version in _named_versions(states, routes) if version is not None
    }


def _named_versions(
    states: Sequence[ReleaseState], routes: Mapping[str, Route]
) -> Iterator[tuple[str, int | None]]:
    for state in states:
        route = routes.get(state.use_case, Route())
        fallback = (state.fallback or {}).get("version")
        for version in (state.champion, state.challenger, fallback, route.champion, route.challenger):
            yield state.use_case, version
