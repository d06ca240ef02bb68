"""The controller: makes what the targets serve equal to the rows of `desired_state`."""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import uvicorn

from include.catalog import catalog, refresh_catalog
from include.database.tables import connect
from include.errors import ServiceUnavailable
from include.release.targets.sagemaker import SageMakerTarget
from include.serving import paths
from include.serving.controller.api import controller_app
from include.serving.controller.desired_state import LiveState, StateStore
from include.serving.controller.fleet import Fleet
from include.serving.controller.history_api import history_routes
from include.serving.controller.local_target import LocalTarget
from include.serving.controller.preparation import prepare_version
from include.serving.controller.remote_target import RemoteTarget
from include.serving.controller.status import ControllerStatus
from include.serving.gateway.haproxy import Gateway
from include.settings import settings

if TYPE_CHECKING:
    from pathlib import Path

    from include.release.rollout import ReleaseState

# Time between two steps if all instances are ready, and if one is starting.
IDLE_POLL_S = 0.3
BUSY_POLL_S = 0.05
MEMORY_INTERVAL_S = 60.0
_log = logging.getLogger(__name__)


class Controller:
    """Reconciles the targets with the rows of `desired_state`."""

    def __init__(self, store: StateStore, fleet: Fleet, gateway: Gateway) -> None:
        self.status = ControllerStatus()
        self._measured_at = -math.inf
        self._store = store
        self._fleet = fleet
        self._gateway = gateway
        self._local = LocalTarget(fleet, gateway, declared_replicas)
        self._remote = RemoteTarget(SageMakerTarget(lambda: catalog().use_cases, fetch_package))

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
        local = [state for state in states if is_local(state.use_case)]
        self._remote.set_desired([state for state in states if not is_local(state.use_case)])
        self._local.stage(local)
        served = self._local.route(local)
        reports = {
            state.use_case: LiveState(
                state.generation, served[state.use_case].ready, served[state.use_case].detail
            )
            for state in local
        }
        grants_problem = self._set_grants()
        problem = self._local.problem or grants_problem
        self._report(states, {**self._remote.reports, **reports}, problem)
        self._measure_memory()
        self._local.retire(local)

    def _measure_memory(self) -> None:
        """Report the memory of the model servers once in a while."""
        now = time.monotonic()
        if now - self._measured_at >= MEMORY_INTERVAL_S:
            self._measured_at = now
            self._store.report_memory(self._fleet.memory())

    def _set_grants(self) -> str:
        """Make HAProxy accept the tokens of callers; return its problem, or an empty string."""
        try:
            if self._store.grants is not None:
                self._gateway.set_grants(self._store.grants)
        except ServiceUnavailable as error:
            return str(error)
        return ""

    def _report(self, states: list[ReleaseState], reports: dict[str, LiveState], problem: str) -> None:
        """Report the live state of each use case and replace the status."""
        models = {}
        for state in states:
            report = reports.get(state.use_case)
            # A remote target has not looked at it yet.
            if report is None:
                continue
            self._store.report(state.use_case, report)
            if not state.retired:
                models[state.use_case] = _describe_model(state, report)
        problems = tuple(text for text in (problem, self._store.problem) if text)
        retired = tuple(state.use_case for state in states if state.retired)
        ready_servers = tuple(self._fleet.ready())
        objectives = {name: use_case.slo for name, use_case in catalog().use_cases.items() if name in models}
        silences = {name: self._store.silences.get(name, 0.0) for name in objectives}
        self.status = ControllerStatus(
            models,
            ready_servers,
            objectives,
            silences,
            self._store.checks,
            retired,
            problems,
            ready=not problem,
        )


def declared_replicas() -> dict[str, int]:
    """Return the declared number of model servers of each use case."""
    return {name: use_case.serving.replicas for name, use_case in refresh_catalog().use_cases.items()}


def is_local(use_case: str) -> bool:
    """Return whether a use case is served on this machine, as one is that is not declared any more."""
    declared = catalog().use_cases.get(use_case)
    return declared is None or declared.serving.target == "local"


def fetch_package(use_case: str, version: int) -> Path:
    """Return the folder of a version's package, whose certificate is valid."""
    prepare_version(use_case, version)
    return paths.model_folder(use_case, version)


def _describe_model(state: ReleaseState, report: LiveState) -> dict[str, Any]:
    route = report.detail["route"]
    return {
        "name": state.use_case,
        "champion": route["champion"],
        "challenger": route["challenger"],
        "weight": route["weight"],
        "shadow_share": state.shadow_share,
        "fallback": route["fallback"] or None,
        "frozen": state.frozen,
        "generation": state.generation,
        "ready": report.ready,
        **report.detail,
    }


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
