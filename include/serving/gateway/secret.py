"""The secret that proves to a model server that a request comes from the gateway or from the stack itself."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from include.credentials import GATEWAY_SECRET_HEADER

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

FORBIDDEN = 403
# These say which version is served, and nothing of its data.
OPEN_PATHS = frozenset({"/readyz", "/ping"})
_HEADER = GATEWAY_SECRET_HEADER.lower().encode()
_MESSAGE = "A model server answers the gateway only: send the request to the gateway."


class GatewayOnly:
    """
    An ASGI application that refuses requests without the secret of the stack.

    Parameters
    ----------
    app
        The application behind it.
    secret
        Value of the header; it is compared in constant time.
    """

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self._app = app
        self._secret = secret.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 403."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            sent = next((value for name, value in scope["headers"] if name == _HEADER), b"")
            if not hmac.compare_digest(sent, self._secret):
                content = {"error_code": "PERMISSION_DENIED", "message": _MESSAGE}
                await JSONResponse(content, FORBIDDEN)(scope, receive, send)
                return
        await self._app(scope, receive, send)
