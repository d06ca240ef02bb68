from __future__ import annotations

import asyncio

import pytest

from include.serving.model_server.trace_headers import begin_request, current_headers, ids_of

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
GATEWAY_ID = "6bf28548-afc4-4edf-9dfb-0375cd401b7e"


def test_ids_of_gateway_and_trace_are_recorded() -> None:
    ids = ids_of({"x-airworthy-id": GATEWAY_ID, "traceparent": TRACEPARENT})
    assert ids == {"gateway_id": GATEWAY_ID, "trace_id": "0af7651916cd43dd8448eb211c80319c"}


@pytest.mark.parametrize("headers", [{}, {"x-airworthy-id": "no id", "traceparent": "00-1-2-3"}])
def test_a_request_without_valid_ids_has_none(headers) -> None:
    assert ids_of(headers) == {"gateway_id": None, "trace_id": None}


def test_each_request_has_its_own_context() -> None:
    async def look_up(request_id: str) -> dict[str, str]:
        begin_request({"traceparent": TRACEPARENT}, request_id)
        await asyncio.sleep(0)
        return current_headers()

    async def both() -> list[dict[str, str]]:
        return await asyncio.gather(look_up("r1"), look_up("r2"))

    first, second = asyncio.run(both())
    assert first == {"traceparent": TRACEPARENT, "x-request-id": "r1"}
    assert second["x-request-id"] == "r2"
    assert current_headers() == {}
