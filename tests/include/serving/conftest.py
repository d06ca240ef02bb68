from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.serving.model_server.app import ModelServer


def post_invocation(
    model_server: ModelServer, headers: dict[str, str] | None = None, **body: Any
) -> httpx.Response:
    """Call a model server in this process, then shut it down; `body` is passed to httpx."""

    async def post() -> httpx.Response:
        app = model_server.app()
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://server", headers=headers) as client,
        ):
            return await client.post("/invocations", **body)

    return asyncio.run(post())


def wait_for(condition: Callable[[], bool], seconds: float = 30, describe: Callable[[], str] = str) -> None:
    """Return when the condition holds; fail the test with a description after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"waited {seconds:g} s: {describe()}")
        time.sleep(0.05)


@pytest.fixture(name="wait_for")
def _wait_for() -> Callable[..., None]:
    return wait_for
