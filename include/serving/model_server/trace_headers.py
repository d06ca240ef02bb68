"""Headers that connect what several processes did for one request: the gateway's id and W3C Trace Context."""

from __future__ import annotations

import re
import uuid
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

GATEWAY_ID = "x-airworthy-id"
REQUEST_ID = "x-request-id"
# Passed on as they came: the gateway is the last that made a span.
TRACE_HEADERS = frozenset({"traceparent", "tracestate", GATEWAY_ID})
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?P<trace_id>[0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_current: ContextVar[dict[str, str]] = ContextVar("trace_headers", default={})  # noqa: B039  never changed


class TraceIds(TypedDict):
    """The ids of a request's record that connect it with the gateway's access log and the caller's trace."""

    gateway_id: str | None
    trace_id: str | None


def begin_request(headers: Mapping[str, str], request_id: str) -> None:
    """Remember the headers for requests to other services that this request leads to."""
    context = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
    _current.set(context | {REQUEST_ID: request_id})


def current_headers() -> dict[str, str]:
    """Return the headers to send to other services on behalf of the current request."""
    return _current.get()


def ids_of(headers: Mapping[str, str]) -> TraceIds:
    """Return the ids of a request's record: those of the gateway and of the trace, None where absent."""
    match = _TRACEPARENT.match(headers.get("traceparent", ""))
    trace_id = match["trace_id"] if match else None
    return TraceIds(gateway_id=_canonical_uuid(headers.get(GATEWAY_ID, "")), trace_id=trace_id)


def _canonical_uuid(text: str) -> str | None:
    """Return a UUID in its usual form; None for other text, which callers without the gateway may send."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None
