"""The controller: reconciles model servers, routes and shadows with the desired state."""

from __future__ import annotations

import logging
import signal
import threading
from typing import TYPE_CHECKING

import uvicorn

from include.catalog import refresh_catalog
from include.database.tables import connect
from include.errors import ServiceUnavailable
from include.serving import paths
from include.serving.controller.api import controller_app
from include.serving.controller.desired_state import LiveState, StateStore
from include.serving.controller.fleet import Fleet
from include.serving.controller.history_api import history_routes
from include.serving.controller.status import ControllerStatus, describe_use_case, next_route
from include.serving.fallback.answers import prepare_fallback
from include.serving.gateway.config import Route
from include.serving.gateway.haproxy import Gateway
from include.serving.shadow_target import ShadowTarget, write_target
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.release.rollout import ReleaseState

# Time between two steps if all instances are ready, and if one is starting.
IDLE_POLL_S = 0.3
BUSY_POLL_S = 0.05
_log = logging.getLogger(__name__)


class Controller:
    """Reconciles model servers, HAProxy and shadows with the rows of `desired_state`."""

    def __init__(self, store: StateStore, fleet: Fleet, gateway: Gateway) -> None:
        self.status = ControllerStatus()
        self._store = store
        self._fleet = fleet
        self._gateway = gateway
        self._adopted = False
        self._replicas: dict[str, int] = {}
        self._logged_problem = ""

    def run(self, stopping: threading.Event) -> None:
        """Reconcile until `stopping` is set; then end the model servers."""
        self._gateway.prepare()
        self._store.start()
        while not stopping.is_set():
            self.step()
            self._store.changed.wait(IDLE_POLL_S if self._fleet.settled else BUSY_POLL_S)
            self._store.changed.clear()
        self._fleet.stop()
        self._store.close()

    def step(self) -> None:
        """Go one step towards the desired state; do nothing while another controller has the lock."""
        states = self._store.states
        if states is None:
            self.status = ControllerStatus(problems=(self._store.problem,))
            return
        if not self._adopted:
            self._fleet.adopt(self._gateway.servers())
            self._adopted = True
        current_routes = self._gateway.routes()
        self._fleet.set_desired(self._desired_replicas(states, current_routes))
        self._fleet.step()
        fallback_problems = {state.use_case: prepare_fallback(state) for state in states}
        problem = self._update_gateway(states, current_routes)
        self._log_problem(problem)
        for state in states:
            write_target(paths.shadow_file(state.use_case), self._shadow_target(state))
        self._report(states, problem, fallback_problems)

    def _desired_replicas(
        self, states: list[ReleaseState], routes: dict[str, Route]
    ) -> dict[tuple[str, int], int]:
        """Return how many servers each version needs; while a declaration is invalid, its last number."""
        self._replicas |= declared_replicas()
        needed = _needed_versions(states, routes)
        return {(use_case, version): self._replicas.get(use_case, 1) for use_case, version in needed}

    def _update_gateway(self, states: list[ReleaseState], current_routes: dict[str, Route]) -> str:
        """Set HAProxy's servers and routes; return its first problem, or an empty string."""
        problem = ""
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
            if self._store.grants is not None:
                self._gateway.set_grants(self._store.grants)
        except ServiceUnavailable as error:
            problem = problem or str(error)
        return problem

    def _log_problem(self, problem: str) -> None:
        """Log a problem of the gateway once, and once that it is solved."""
        if problem != self._logged_problem:
            self._logged_problem = problem
            _log.warning("%s", problem or "HAProxy accepts servers and routes again")

    def _shadow_target(self, state: ReleaseState) -> ShadowTarget | None:
        """Return the target of the champion's copies; None without shadowing or a ready challenger."""
        if state.champion is None or state.challenger is None or state.shadow_share <= 0:
            return None
        replicas = self._fleet.replicas(state.use_case, state.challenger)
        addresses = tuple(instance.server.address for instance in replicas if instance.server)
        if not addresses:
            return None
        return ShadowTarget(state.champion, state.challenger, addresses, state.shadow_share)

    def _report(self, states: list[ReleaseState], problem: str, fallback_problems: dict[str, str]) -> None:
        """Report the live state of each use case and replace the status."""
        routes = self._gateway.routes()
        models = {}
        for state in states:
            route = routes.get(state.use_case, Route())
            own_problem = problem or fallback_problems[state.use_case]
            ready, detail = describe_use_case(state, route, self._fleet.replicas, own_problem)
            self._store.report(state.use_case, LiveState(state.generation, ready, detail))
            if state.retired:
                continue
            models[state.use_case] = {
                "name": state.use_case,
                "champion": route.champion,
                "challenger": route.challenger,
                "weight": route.weight,
                "shadow_share": state.shadow_share,
                "fallback": route.fallback or None,
                "frozen": state.frozen,
                "generation": state.generation,
                "ready": ready,
                **detail,
            }
        problems = tuple(text for text in (problem, self._store.problem) if text)
        retired = tuple(state.use_case for state in states if state.retired)
        ready_servers = tuple(self._fleet.ready())
        self.status = ControllerStatus(models, ready_servers, retired, problems, ready=not problem)


def declared_replicas() -> dict[str, int]:
    """Return the declared number of model servers of each use case."""
    return {name: use_case.serving.replicas for name, use_case in refresh_catalog().use_cases.items()}


def _needed_versions(states: list[ReleaseState], routes: dict[str, Route]) -> set[tuple[str, int]]:
    """Return the desired versions, and those in the current routes, which serve until others are ready."""
    return {
        (use_case, version) for use_case, version in _named_versions(states, routes) if version is not None
    }


def _named_versions(states: list[ReleaseState], routes: dict[str, Route]) -> Iterator[tuple[str, int | None]]:
    for state in states:
        route = routes.get(state.use_case, Route())
        fallback = (state.fallback or {}).get("version")
        for version in (state.champion, state.challenger, fallback, route.champion, route.challenger):
            yield state.use_case, version


def main() -> None:
    """Run the controller until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    controller = Controller(StateStore(settings().database_url), Fleet(), Gateway())
    config = uvicorn.Config(
        controller_app(lambda: controller.status, history_routes(connect(settings().database_url))),
        host="127.0.0.1",
        port=settings().controller_port,
        access_log=False,
        log_level="warning",
    )
    # Ends this process if the port is in use.
    listening = config.bind_socket()
    server = uvicorn.Server(config)
    threading.Thread(target=server.run, args=([listening],), name="api", daemon=True).start()
    controller.run(stopping)
