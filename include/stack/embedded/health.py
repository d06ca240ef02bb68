"""Health checks of the programs, as their clients see them."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cache, partial
from typing import TYPE_CHECKING

import httpx
from sqlalchemy.exc import OperationalError

from include.serving import paths
from include.stack.embedded.programs import postgres

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from include.credentials import Credentials
    from include.settings import Settings
    from include.stack.embedded.supervision import ProgramState

CONNECT_TIMEOUT_S = 2
RESPONSE_TIMEOUT_S = 15
# The collector of the access log shows its metrics every second.
COLLECTOR_TIMEOUT_S = 15
# Programs of Airflow that report to its database, by the name of their job.
JOBS = {"scheduler": "scheduler", "triggerer": "triggerer", "dag-processor": "dag_processor"}


def problems(states: Sequence[ProgramState], settings: Settings, credentials: Credentials) -> dict[str, str]:
    """
    Return the problem of each program by its name; an empty text if it is healthy.

    They are checked at the same time: while a program starts, it takes connections before it answers.
    """
    check = partial(problem, settings=settings, credentials=credentials)
    with ThreadPoolExecutor(max(1, len(states))) as pool:
        texts = list(pool.map(check, states))
    return {state.name: text for state, text in zip(states, texts, strict=True)}


def problem(state: ProgramState, settings: Settings, credentials: Credentials) -> str:
    """Return why a program is not healthy yet; an empty text if it is."""
    if state.state != "RUNNING":
        return state.problem or state.state.lower()
    if state.name == "postgres":
        return _check_database(settings, credentials)
    if state.name == "haproxy":
        return _check_port(settings.gateway_port)
    if state.name == "access-log":
        return _check_collector(state)
    if state.name == "fallback":
        return _check_socket(paths.fallback_socket())
    if state.name in JOBS:
        return _check_heartbeat(state, settings)
    addresses = {
        "mlflow": f"{settings.mlflow_uri}/health",
        "api-server": f"{settings.airflow_uri}/api/v2/monitor/health",
        "features": f"http://127.0.0.1:{settings.features_port}/health",
        "controller": f"http://127.0.0.1:{settings.controller_port}/healthz",
    }
    return _check_url(addresses[state.name])


def _check_database(settings: Settings, credentials: Credentials) -> str:
    engine = postgres(settings).admin(credentials.postgres_password)
    try:
        engine.connect().close()
    except OperationalError:
        return "takes no connection yet"
    finally:
        engine.dispose()
    return ""


def _check_collector(state: ProgramState) -> str:
    """Check that the collector has read HAProxy's pipe since it started, and not long ago."""
    try:
        read_at = paths.access_metrics_file().stat().st_mtime
    except FileNotFoundError:
        read_at = 0.0
    fresh = read_at >= max(state.started_at, time.time() - COLLECTOR_TIMEOUT_S)
    return "" if fresh else "does not read the access log yet"


def _check_port(port: int) -> str:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=CONNECT_TIMEOUT_S).close()
    except OSError:
        return f"does not listen on {port} yet"
    return ""


def _check_socket(path: Path) -> str:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
    except OSError:
        return f"does not listen on {path} yet"
    return ""


@cache
def _http_client() -> httpx.Client:
    return httpx.Client(timeout=RESPONSE_TIMEOUT_S, trust_env=False)


def _check_url(url: str) -> str:
    try:
        status = _http_client().get(url).status_code
    except httpx.TransportError:
        return f"{url} does not answer yet"
    return "" if status < httpx.codes.BAD_REQUEST else f"{url} answers {status}"


def _check_heartbeat(state: ProgramState, settings: Settings) -> str:
    """Check the heartbeat of an Airflow job; that of the process before this one does not count."""
    job = JOBS[state.name]
    try:
        response = _http_client().get(f"{settings.airflow_uri}/api/v2/monitor/health")
        report = response.raise_for_status().json()[job]
    except httpx.HTTPError:
        return "is not known before the api-server answers"
    heartbeat = report[f"latest_{job}_heartbeat"]
    if report["status"] != "healthy" or heartbeat is None:
        return "has not reported yet"
    if datetime.fromisoformat(heartbeat).timestamp() < state.started_at:
        return "has not reported yet"
    return ""
