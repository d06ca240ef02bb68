"""Replay: recent logged requests are sent to a challenger, so that low traffic is enough to judge it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
from sqlalchemy import func, select

from include.database.tables import access_log, inference_log
from include.release.rollout import read_state
from include.settings import gateway_headers
from include.specifications import declared_specification

if TYPE_CHECKING:
    from sqlalchemy import Engine, RowMapping

    from include.declarations import UseCase

N_CLIENTS = 4
CLIENT: dict[str, Any] = {
    "timeout": 2.0,
    "limits": httpx.Limits(max_connections=N_CLIENTS),
    "trust_env": False,
}
# A replay that takes longer ends with the requests sent so far.
MAX_DURATION_S = 120.0
# Status in the record of a request that the challenger did not answer.
NO_RESPONSE = 504
REPLAY = "replay"


def why_not_replayable(use_case: UseCase) -> str:
    """Return why the logged requests of a use case cannot be sent again; empty if they can."""
    columns = declared_specification(use_case).selection.columns
    personal = sorted(name for name, column in columns.items() if column.personal)
    return f"{', '.join(personal)} are personal, and not in the inference log" if personal else ""


def replay_requests(engine: Engine, use_case: UseCase, version: int, base_url: str) -> int:
    """
    Send the newest `rollout.replay` requests that the champion answered to a challenger; return their number.

    The challenger logs them as `replay`, which monitoring ignores, with the gateway's id of the original. A
    request without a response is logged here. A request that the challenger refuses does not count: features
    that it needs may not have been logged. A repetition counts once.

    Parameters
    ----------
    version
        Version of the challenger.
    base_url
        Address of its model server.
    """
    requests = _read_requests(engine, use_case)
    end = time.monotonic() + MAX_DURATION_S
    with httpx.Client(**CLIENT, headers=gateway_headers()) as client:

        def send(request: RowMapping) -> bool | None:
            return _is_answered(client, base_url, request) if time.monotonic() < end else None

        with ThreadPoolExecutor(N_CLIENTS) as pool:
            responded = list(pool.map(send, requests))
    lost = [request for request, is_answered in zip(requests, responded, strict=True) if is_answered is False]
    if lost:
        with engine.begin() as connection:
            now = connection.scalar(select(func.clock_timestamp()))
            rows = [_unanswered(request, version) | {"received_at": now} for request in lost]
            connection.execute(inference_log.insert(), rows)
    return sum(is_answered is not None for is_answered in responded)


def _read_requests(engine: Engine, use_case: UseCase) -> list[RowMapping]:
    log = inference_log.c
    with engine.connect() as connection:
        champion = read_state(connection, use_case.name).champion
        query = (
            select(log.use_case, log.request_id, log.gateway_id, log.entity_id, log.inputs)
            .join(access_log, access_log.c.id == log.gateway_id)
            .where(
                log.use_case == use_case.name,
                log.version == champion,
                log.role == "champion",
                log.status.between(200, 299),
                func.jsonb_typeof(log.inputs) == "array",
                access_log.c.eligible,
            )
            .order_by(log.received_at.desc())
            .limit(use_case.rollout.replay)
        )
        return list(connection.execute(query).mappings())


def _is_answered(client: httpx.Client, base_url: str, request: RowMapping) -> bool:
    """Return whether the challenger answered, whatever it said."""
    headers = {
        "X-Airworthy-Route": REPLAY,
        "X-Airworthy-Id": str(request["gateway_id"]),
        "X-Request-Id": request["request_id"],
    }
    if request["entity_id"]:
        headers["X-Entity-Id"] = request["entity_id"]
    body = {"dataframe_records": request["inputs"]}
    try:
        client.post(f"{base_url.rstrip('/')}/invocations", json=body, headers=headers)
    except httpx.HTTPError:
        return False
    return True


def _unanswered(request: RowMapping, version: int) -> dict[str, Any]:
    copied = ("use_case", "request_id", "gateway_id", "entity_id")
    return {name: request[name] for name in copied} | {
        "version": version,
        "role": REPLAY,
        "latency_ms": 0.0,
        "status": NO_RESPONSE,
    }
