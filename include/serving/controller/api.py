"""What the controller tells whoever asks: which models there are, how they are, and their metrics."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from include.serving.controller.status import ControllerStatus
    from include.serving.gateway.config import Server

SCRAPE_TIMEOUT = 1.0  # seconds


def controller_app(view: Callable[[], ControllerStatus], further: Iterable[BaseRoute] = ()) -> Starlette:
    """Return the ASGI application; `view` gives the controller's latest picture, `further` more routes."""

    async def models(_: Request) -> Response:
        return JSONResponse({"models": list(view().models.values())})

    async def model(request: Request) -> Response:
        name, known = request.path_params["use_case"], view().models
        if name in known:
            return JSONResponse(known[name])
        content = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"There is no model {name}."}
        return JSONResponse(content | {"models": sorted(known)}, 404)

    async def healthz(_: Request) -> Response:
        return JSONResponse({"healthy": True})

    async def readyz(_: Request) -> Response:
        now = view()
        return JSONResponse({"ready": now.ready, "problems": now.problems}, 200 if now.ready else 503)

    async def metrics(_: Request) -> Response:
        content = await _scrape(view().servers)
        return Response(content, media_type="text/plain; version=0.0.4")

    routes = [
        Route("/models", models),
        Route("/models/{use_case}", model),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
    ]
    return Starlette(routes=[*routes, *further])


async def _scrape(servers: Iterable[Server]) -> bytes:
    servers = list(servers)
    async with httpx.AsyncClient(timeout=SCRAPE_TIMEOUT) as client:
        texts = await asyncio.gather(*(_metrics(client, server) for server in servers))
    registry = CollectorRegistry()
    registry.register(_Merged(zip(servers, texts, strict=True)))
    return generate_latest(registry)


async def _metrics(client: httpx.AsyncClient, server: Server) -> str:
    try:
        response = await client.get(f"http://{server.address}/metrics")
        return response.raise_for_status().text
    except httpx.HTTPError:
        return ""  # airworthy_model_server_up says so


class _Merged:
    """The metrics of many model servers as one, each sample with the names of its use case and version."""

    def __init__(self, texts: Iterable[tuple[Server, str]]) -> None:
        self._texts = list(texts)

    def collect(self) -> Iterator[Metric]:
        """Give every family once."""
        up = Metric("airworthy_model_server_up", "Whether the model server answered the scrape", "gauge")
        families: dict[str, Metric] = {up.name: up}
        for server, text in self._texts:
            labels: dict[str, Any] = {"use_case": server.use_case, "version": str(server.version)}
            up.add_sample(up.name, labels, float(bool(text)))
            for family in text_string_to_metric_families(text):
                merged = families.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                )
                for sample in family.samples:
                    merged.add_sample(sample.name, labels | sample.labels, sample.value)
        yield from families.values()
