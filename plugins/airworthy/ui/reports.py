"""Web application that serves the lake's reports (data docs, drift) to users logged in to Airflow."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import FastAPI

# Reports contain data from outside: the browser must not let them send requests or read cookies.
HEADERS = {
    "Content-Security-Policy": "sandbox allow-scripts; default-src 'none'; img-src data:; font-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval' blob:; worker-src blob:",
    "X-Content-Type-Options": "nosniff",
}


@cache
def _build_app() -> FastAPI:
    from fastapi import Depends, FastAPI, HTTPException, Response

    from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
    from airflow.api_fastapi.core_api.security import requires_access_view

    from airworthy.hooks.lake import LakeHook
    from include.errors import DataError
    from include.storage import reports

    app = FastAPI(title="Airworthy", docs_url=None, redoc_url=None, openapi_url=None)
    require_login = Depends(requires_access_view(AccessView.WEBSITE))

    @app.get("/reports/{path:path}", dependencies=[require_login])
    def report(path: str) -> Response:
        hook = LakeHook()
        try:
            page = reports.read_report(hook.uri, hook.storage_options, path)
        except DataError as error:
            raise HTTPException(404, str(error)) from error
        return Response(page, media_type="text/html", headers=HEADERS)

    return app


async def reports_app(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Any]
) -> None:
    """ASGI entry point; builds the application at the first request, so that loading the plugin is fast."""
    await _build_app()(scope, receive, send)
