from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.responses import PlainTextResponse

from include.serving.gateway.secret import GatewayOnly

SECRET = "only-for-tests"


def ask(path: str, **headers: str) -> int:
    async def get() -> int:
        transport = httpx.ASGITransport(GatewayOnly(PlainTextResponse("served"), SECRET))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return (await client.get(path, headers=headers)).status_code

    return asyncio.run(get())


@pytest.mark.parametrize("path", ["/invocations", "/metrics", "/models/delay/openapi.json"])
def test_only_requests_with_the_secret_are_served(path) -> None:
    assert ask(path) == 403
    assert ask(path, **{"X-Airworthy-Secret": "guessed"}) == 403
    assert ask(path, **{"X-Airworthy-Secret": ""}) == 403
    assert ask(path, **{"x-airworthy-secret": SECRET}) == 200


@pytest.mark.parametrize("path", ["/readyz", "/ping"])
def test_readiness_needs_no_secret(path) -> None:
    assert ask(path) == 200
