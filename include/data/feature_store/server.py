"""`python -m include.data.feature_store.server`: Feast's feature server, of which only reading is left."""

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

# Feast's server also takes writes, from anybody who reaches it.
READING = frozenset({"/get-online-features", "/health"})
REFRESH = 10  # seconds until a view that was registered meanwhile is known


def feature_server_app(opened: Any) -> FastAPI:
    """Return Feast's application on an opened store, without the ways to write."""
    no_security_manager()  # type: ignore[no-untyped-call]
    served: FastAPI = get_app(opened, REFRESH)
    served.router.routes = [each for each in served.router.routes if getattr(each, "path", "") in READING]
    return served


def main() -> int:
    """Register what is declared to be online, and answer until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    online = [view for view in catalog().feature_views.values() if view.online]
    try:
        with client.open_store(settings().database_url) as opened:
            client.register_views(opened, online, settings().lake_uri)
            for view in online:  # so that the first caller does not wait for what loads lazily
                client.look_up(opened, view, [client.sentinel_key(view)])
            uvicorn.run(
                feature_server_app(opened),
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
