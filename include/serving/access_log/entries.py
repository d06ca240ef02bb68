"""Rows of the table `access_log` from the lines that HAProxy writes."""

from __future__ import annotations

import json
import re
import uuid
from datetime import UTC, datetime
from typing import Any

from include.pseudonyms import pseudonym
from include.serving.gateway.log_format import NO_SERVER, UNSET

_BACKEND = re.compile(r"(?P<use_case>[a-z][a-z0-9_]*)\.v(?P<version>\d+)(\.over\.v(?P<champion>\d+))?")
# Servers are named by their role and replica.
CHALLENGER = "challenger"
TIMERS = ("queue_ms", "connect_ms", "response_ms", "total_ms")


class BadLineError(ValueError):
    """A line that HAProxy did not write as a whole."""


def parse_entry(line: bytes, pseudonym_key: str) -> dict[str, Any]:
    """
    Return the row of a line, with values that JSON can hold.

    HAProxy asks a challenger first and, on each further attempt, the server that it did not ask before. So a
    request of a challenger's backend whose attempts went to another server began with the challenger, unless
    the challenger answered a second attempt: then it had been down or full before.

    Raises
    ------
    BadLineError
        If the line is incomplete or no entry.
    """
    try:
        entry = json.loads(line)
        return _to_row(entry, pseudonym_key)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadLineError(f"{error}: {line[:200]!r}") from error


def _to_row(entry: dict[str, Any], pseudonym_key: str) -> dict[str, Any]:
    texts = {name: "" if value == UNSET else value for name, value in entry.items()}
    received_at = _received_at(texts)
    latency_us = int(texts["latency_us"]) if texts["latency_us"] else max(entry["total_ms"], 0) * 1000
    champion, challenger = _route(texts["route"])
    entity = texts["entity"]
    identity = texts["id"] or str(uuid.uuid4())
    row = {
        "id": identity,
        "request_id": texts["request_id"] or identity,
        "trace_id": texts["trace_id"] or None,
        "received_at": received_at.isoformat(),
        "entity_hash": pseudonym(entity, pseudonym_key) if entity else None,
        "champion": champion,
        "challenger": challenger,
        "eligible": bool(texts["eligible"]),
        "termination": entry["termination"],
        "latency_ms": latency_us / 1000,
    }
    copied = ("use_case", "endpoint", "caller", "client")
    counted = ("status", "bytes_in", "bytes_out")
    row |= {name: texts[name] for name in copied} | {name: int(entry[name]) for name in counted}
    # -1 stands for a phase that was not reached.
    row |= {name: entry[name] if entry[name] >= 0 else None for name in TIMERS}
    return row | _attempts(entry["backend"], entry["server"], entry["retries"])


def _received_at(texts: dict[str, Any]) -> datetime:
    """Return when the request was there; if HAProxy could not read it, when its connection was accepted."""
    seconds = int(texts["received_us"]) / 1e6 if texts["received_us"] else int(texts["accepted_ms"]) / 1e3
    return datetime.fromtimestamp(seconds, UTC)


def _route(route: str) -> tuple[int | None, int | None]:
    """Return champion and challenger of a value of the map."""
    names = route.split("|")[:2] if route else []
    versions = [_version_of(name) for name in names]
    return (versions[0], versions[1]) if versions else (None, None)


def _version_of(backend: str) -> int | None:
    match = _BACKEND.fullmatch(backend)
    return int(match["version"]) if match else None


def _attempts(backend: str, server: str, retries: str) -> dict[str, Any]:
    """Return the versions of the first and last attempt from what HAProxy says of the last one."""
    n_retries = int(retries.lstrip("+"))
    redispatched = retries.startswith("+")
    row = {
        "assigned_version": _version_of(backend),
        "first_version": None,
        "version": None,
        "retries": n_retries,
        "redispatched": redispatched,
    }
    match = _BACKEND.fullmatch(backend)
    if match is None or (server == NO_SERVER and not n_retries):
        return row
    assigned = int(match["version"])
    champion = int(match["champion"] or assigned)
    by_challenger = server.startswith(CHALLENGER)
    last = assigned if by_challenger else champion
    if not redispatched:
        first = last
    elif by_challenger and n_retries == 1:
        first = champion
    else:
        first = assigned
    return row | {"first_version": first, "version": None if server == NO_SERVER else last}
