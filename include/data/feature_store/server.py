"""`python -m include.data.feature_store.server`: Feast's feature server with its read endpoints only."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import uvicorn
from feast.feature_server import get_app
from feast.permissions.security_manager import no_security_manager

from include.catalog import catalog
from include.data.feature_store import client
from include.errors import AirworthyError
from include.settings import settings

if TYPE_CHECKING:
    from fastapi import FastAPI

# Feast's server also has endpoints that write, without authentication.
READ_ENDPOINTS = frozenset({"/get-online-features", "/health"})
# Interval after which the server reads newly registered views.
REGISTRY_REFRESH_S = 10


def feature_server_app(store: Any) -> FastAPI:
    """Return Feast's application on an opened store, without the endpoints that write."""
    no_security_manager()  # type: ignore[no-untyped-call]
    served: FastAPI = get_app(store, REGISTRY_REFRESH_S)
    served.router.routes = [
        route for route in served.router.routes if getattr(route, "path", "") in READ_ENDPOINTS
    ]
    return served


def main() -> int:
    """Register the online views and serve them until SIGTERM; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    online = [view for view in catalog().feature_views.values() if view.online]
    try:
        with client.open_store(settings().database_url) as store:
            client.register_views(store, online, settings().lake_uri)
            # A first look-up loads what Feast loads lazily, so that the first caller does not wait.
            for view in online:
                client.look_up(store, view, client.sentinel_key(view))
            uvicorn.run(
                feature_server_app(store),
                host=settings().features_host,
                port=settings().features_port,
                access_log=False,
                log_level="warning",
                timeout_keep_alive=75,
                timeout_graceful_shutdown=5,
            )
    except AirworthyError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
