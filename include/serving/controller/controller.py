"""The controller: reconciles the running model servers and routes with the desired state."""

from __future__ import annotations

import logging
import signal
import threading
from typing import TYPE_CHECKING

import uvicorn

from include.database.tables import connect
from include.errors import ServiceUnavailable
from include.serving import paths
from include.serving.controller import api, history_api
from include.serving.controller.desired_state import LiveState, StateStore
from include.serving.controller.fleet import Fleet
from include.serving.controller.status import ControllerStatus, describe_use_cases, next_route
from include.serving.gateway.config import Route
from include.serving.gateway.haproxy import Gateway
from include.serving.shadow_target import ShadowTarget, write_target
from include.settings import settings

if TYPE_CHECKING:
    from include.release.rollout import ReleaseState

IDLE_POLL_S = 0.3  # seconds between two looks when nothing happens
BUSY_POLL_S = 0.05  # seconds while something starts
_log = logging.getLogger(__name__)


class Controller:
    """Reconciles model servers, HAProxy and shadows with the rows of `desired_state`."""

    def __init__(self, bond: StateStore, fleet: Fleet, gateway: Gateway) -> None:
        self.view = ControllerStatus()
        self._bond = bond
        self._fleet = fleet
        self._gateway = gateway
        self._adopted = False
        self._complaint = ""

    def run(self, stopping: threading.Event) -> None:
        """Reconcile until `stopping`; then end the model servers."""
        self._gateway.prepare()
        self._bond.start()
        while not stopping.is_set():
            self.step()
            self._bond.changed.wait(IDLE_POLL_S if self._fleet.settled else BUSY_POLL_S)
            self._bond.changed.clear()
        self._fleet.stop()
        self._bond.close()

    def step(self) -> None:
        """Go one step towards what is desired; without the lock, do nothing."""
        states = self._bond.states
        if states is None:
            self.view = ControllerStatus(problems=(self._bond.problem,))
            return
        if not self._adopted:
            self._fleet.adopt(self._gateway.servers())
            self._adopted = True
        before = self._gateway.routes()
        self._fleet.set_desired(_needed(states, before))
        self._fleet.step()
        problem = self._route(states, before)
        self._report(states, problem)

    def _route(self, states: list[ReleaseState], before: dict[str, Route]) -> str:
        """Set servers, routes and shadows; return what HAProxy has against it."""
        problem = ""
        try:
            self._gateway.set_servers(self._fleet.servers())
        except ServiceUnavailable as error:
            problem = str(error)
        known = set(self._gateway.servers())
        routes = {}
        for state in states:
            routable = {server.version for server in known if server.use_case == state.use_case}
            routes[state.use_case] = next_route(state, before.get(state.use_case, Route()), routable)
        try:
            self._gateway.set_routes(routes)
        except ServiceUnavailable as error:
            problem = problem or str(error)
        for state in states:
            self._shadow(state)
        if problem != self._complaint:
            self._complaint = problem
            _log.warning("%s", problem or "HAProxy routes as it should again")
        return problem

    def _shadow(self, state: ReleaseState) -> None:
        target = None
        if state.challenger is not None and state.champion is not None and state.shadow_share > 0:
            instance = self._fleet.get(state.use_case, state.challenger)
            if instance and instance.server:
                address = instance.server.address
                target = ShadowTarget(state.champion, state.challenger, address, state.shadow_share)
        write_target(paths.shadow_file(state.use_case), target)

    def _report(self, states: list[ReleaseState], problem: str) -> None:
        routes, models = self._gateway.routes(), {}
        for state in states:
            route = routes.get(state.use_case, Route())
            ready, detail = describe_use_cases(state, route, self._fleet.get, problem)
            self._bond.report(state.use_case, LiveState(state.generation, ready, detail))
            models[state.use_case] = {
                "name": state.use_case,
                "champion": route.champion,
                "challenger": route.challenger,
                "weight": route.weight,
                "shadow_share": state.shadow_share,
                "generation": state.generation,
                "ready": ready,
                **detail,
            }
        problems = tuple(each for each in (problem, self._bond.problem) if each)
        self.view = ControllerStatus(models, tuple(self._fleet.ready()), problems, ready=not problem)


def _needed(states: list[ReleaseState], routes: dict[str, Route]) -> set[tuple[str, int]]:
    """Return the versions that are desired, and those that answer until the desired ones can."""
    names = {state.use_case for state in states}
    needed = {(state.use_case, version) for state in states for version in (state.champion, state.challenger)}
    needed |= {
        (name, version)
        for name, route in routes.items()
        if name in names
        for version in (route.champion, route.challenger)
    }
    return {(name, version) for name, version in needed if version is not None}


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    controller = Controller(StateStore(settings().database_url), Fleet(), Gateway())
    config = uvicorn.Config(
        api.controller_app(lambda: controller.view, history_api.routes(connect(settings().database_url))),
        host="127.0.0.1",
        port=settings().controller_port,
        access_log=False,
        log_level="warning",
    )
    listening = config.bind_socket()  # ends this process if the port is taken
    server = uvicorn.Server(config)
    threading.Thread(target=server.run, args=([listening],), name="api", daemon=True).start()
    controller.run(stopping)
