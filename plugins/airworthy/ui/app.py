"""The web application of the plugin below `/airworthy`: pages of the fleet, their data, and reports."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import FastAPI


@cache
def build_app() -> FastAPI:
    """Return the application, with the routes of each module."""
    from fastapi import FastAPI

    from airworthy.ui import documents, fleet_data, fleet_pages, reports

    app = FastAPI(title="Airworthy", docs_url=None, redoc_url=None, description=fleet_data.__doc__ or "")
    for module in (documents, fleet_data, fleet_pages, reports):
        app.include_router(module.router)
    return app


async def airworthy_app(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Any]
) -> None:
    """ASGI entry point; builds the application at the first request, so that loading the plugin is fast."""
    await build_app()(scope, receive, send)
