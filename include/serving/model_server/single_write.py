"""Responses in one write: a server that is killed has sent a whole response or none of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from collections.abc import Callable


class _SingleWriteTransport:
    """A transport that joins the writes of one iteration of the event loop."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._parts:
            asyncio.get_running_loop().call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._parts:
            self._transport.write(b"".join(self._parts))
            self._parts.clear()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._transport, name)
        return method


class SingleWriteProtocol(HttpToolsProtocol):
    """
    Uvicorn's HTTP protocol with one write per response.

    With two writes the gateway could have forwarded the head when the server dies, and then could not
    retry the request.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start a connection with a transport that joins writes."""
        super().connection_made(_SingleWriteTransport(transport))  # type: ignore[arg-type]
