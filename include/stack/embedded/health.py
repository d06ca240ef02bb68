"""Whether a program does its work, seen from outside."""

from __future__ import annotations

import socket
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

import httpx
from sqlalchemy.exc import OperationalError

from include.stack.embedded.programs import postgres

if TYPE_CHECKING:
    from include.credentials import Credentials
    from include.settings import Settings
    from include.stack.embedded.supervision import ProgramState

JOBS = {"scheduler": "scheduler", "triggerer": "triggerer", "dag-processor": "dag_processor"}


def problem(state: ProgramState, settings: Settings, credentials: Credentials) -> str:
    """Return why a program is not healthy yet; empty when it is."""
    if state.state != "RUNNING":
        return state.problem or state.state.lower()
    if state.name == "postgres":
        return _database(settings, credentials)
    if state.name == "haproxy":
        return _listens(settings.gateway_port)
    if state.name in JOBS:
        return _beats(state, settings)
    addresses = {
        "mlflow": f"{settings.mlflow_uri}/health",
        "api-server": f"{settings.airflow_uri}/api/v2/monitor/health",
        "features": f"http://127.0.0.1:{settings.features_port}/health",
        "controller": f"http://127.0.0.1:{settings.controller_port}/healthz",
    }
    return _answers(addresses[state.name])


def _database(settings: Settings, credentials: Credentials) -> str:
    engine = postgres(settings).admin(credentials.postgres_password)
    try:
        engine.connect().close()
    except OperationalError:
        return "takes no connection yet"
    finally:
        engine.dispose()
    return ""


def _listens(port: int) -> str:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return f"does not listen on {port} yet"
    return ""


@cache
def _client() -> httpx.Client:
    return httpx.Client(timeout=15, trust_env=False)


def _answers(url: str) -> str:
    try:
        status = _client().get(url).status_code
    except httpx.TransportError:
        return f"{url} does not answer yet"
    return "" if status < httpx.codes.BAD_REQUEST else f"{url} answers {status}"


def _beats(state: ProgramState, settings: Settings) -> str:
    """Airflow's jobs report to the database; a beat of the process before this one does not count."""
    job = JOBS[state.name]
    try:
        answer = _client().get(f"{settings.airflow_uri}/api/v2/monitor/health")
        report = answer.raise_for_status().json()[job]
    except httpx.HTTPError:
        return "cannot be asked before the api-server answers"
    beat = report[f"latest_{job}_heartbeat"]
    if report["status"] != "healthy" or beat is None:
        return "has not reported yet"
    return "" if datetime.fromisoformat(beat).timestamp() >= state.started_at else "has not reported yet"
