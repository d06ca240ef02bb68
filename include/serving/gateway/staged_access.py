"""Access to a version that is staged: no caller has it, and it ends with the test."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import httpx

from include.errors import DataError, ServiceUnavailable
from include.serving.gateway.callers import STAGING, issue_token, revoke_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Engine

# The controller gives new tokens and servers to HAProxy several times a second.
REACHABLE_TIMEOUT_S = 20.0
POLL_INTERVAL_S = 0.1
REQUEST_TIMEOUT_S = 10.0
# The token or the server has not arrived yet.
NOT_YET = frozenset({401, 403, 404, 503})


def staging_caller(use_case: str) -> str:
    """Return the name of the caller that tests staged versions of a use case."""
    return f"staging.{use_case}"[:63]


@contextmanager
def staged_token(engine: Engine, use_case: str, *, actor: str) -> Iterator[str]:
    """
    Provide a token for staged versions, and revoke it afterwards.

    Tokens that an earlier test of the use case left, since it was killed, are revoked first.
    """
    _revoke(engine, use_case, actor)
    with engine.begin() as connection:
        token = issue_token(connection, staging_caller(use_case), [STAGING], actor=actor)
    try:
        yield token
    finally:
        _revoke(engine, use_case, actor)


def wait_until_reachable(address: str, headers: Mapping[str, str]) -> None:
    """
    Wait until the gateway passes requests with these headers on.

    Raises
    ------
    ServiceUnavailable
        If it does not after `REACHABLE_TIMEOUT_S`.
    """
    end = time.monotonic() + REACHABLE_TIMEOUT_S
    while True:
        problem = _describe_refusal(address, headers)
        if not problem:
            return
        if time.monotonic() > end:
            raise ServiceUnavailable(
                f"{address} does not reach the staged version after {REACHABLE_TIMEOUT_S:g} s: {problem}. "
                "See the logs of the gateway and the controller."
            )
        time.sleep(POLL_INTERVAL_S)


def _describe_refusal(address: str, headers: Mapping[str, str]) -> str:
    """Return why a request does not reach the server; empty if it does, which refuses a body without rows."""
    try:
        response = httpx.post(
            address, json={}, headers=dict(headers), timeout=REQUEST_TIMEOUT_S, trust_env=False
        )
    except httpx.TransportError as error:
        return f"{type(error).__name__} {error}"
    return f"{response.status_code} {response.text[:300]}" if response.status_code in NOT_YET else ""


def _revoke(engine: Engine, use_case: str, actor: str) -> None:
    with suppress(DataError), engine.begin() as connection:
        revoke_tokens(connection, staging_caller(use_case), actor=actor)
