"""The HTTP application of the controller: models, health, readiness and metrics."""

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

from include.serving import paths
from include.serving.controller.data_checks import DataChecks
from include.settings import gateway_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from include.declarations import Slo
    from include.serving.controller.status import ControllerStatus
    from include.serving.gateway.config import Server

SCRAPE_TIMEOUT_S = 1.0
OWN_PREFIX = "airworthy_"


def controller_app(
    status: Callable[[], ControllerStatus], more_routes: Iterable[BaseRoute] = ()
) -> Starlette:
    """Return the ASGI application; `status` returns the controller's latest status."""

    async def models(_: Request) -> Response:
        return JSONResponse({"models": list(status().models.values())})

    async def model(request: Request) -> Response:
        name = request.path_params["use_case"]
        all_models = status().models
        if name in all_models:
            return JSONResponse(all_models[name])
        if name in status().retired:
            message = f"{name} was retired: no version of it is served any more."
            content = {"error_code": "RESOURCE_RETIRED", "message": message}
            return JSONResponse(content | {"models": sorted(all_models)}, 410)
        content = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"There is no model {name}."}
        return JSONResponse(content | {"models": sorted(all_models)}, 404)

    async def healthz(_: Request) -> Response:
        return JSONResponse({"healthy": True})

    async def readyz(_: Request) -> Response:
        current = status()
        content = {"ready": current.ready, "problems": current.problems}
        return JSONResponse(content, 200 if current.ready else 503)

    async def metrics(_: Request) -> Response:
        content = await _scrape(status())
        return Response(content, media_type="text/plain; version=0.0.4")

    routes = [
        Route("/models", models),
        Route("/models/{use_case}", model),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
    ]
    return Starlette(routes=[*routes, *more_routes])


async def _scrape(status: ControllerStatus) -> bytes:
    """Return the metrics of gateway and model servers, objectives and checks of data, as Prometheus text."""
    scraped = list(status.servers)
    async with httpx.AsyncClient(timeout=SCRAPE_TIMEOUT_S) as client:
        texts = await asyncio.gather(*(_fetch_metrics(client, server) for server in scraped))
    registry = CollectorRegistry()
    registry.register(_MergedMetrics(zip(scraped, texts, strict=True), _read_gateway_metrics()))
    registry.register(_Objectives(status.objectives))
    registry.register(_Silences(status.silences))
    registry.register(DataChecks(status.checks))
    return generate_latest(registry)


async def _fetch_metrics(client: httpx.AsyncClient, server: Server) -> str:
    """Return the metrics of a model server; empty, and so `up` is 0, if it does not answer."""
    try:
        response = await client.get(f"http://{server.address}/metrics", headers=gateway_headers())
        return response.raise_for_status().text
    except httpx.HTTPError:
        return ""


def _read_gateway_metrics() -> str:
    """Return what the collector of the access log wrote last."""
    try:
        return paths.access_metrics_file().read_text()
    except FileNotFoundError:
        return ""


class _MergedMetrics:
    """A collector of the metrics of several model servers, with labels for use case, version and replica."""

    def __init__(self, texts: Iterable[tuple[Server, str]], gateway: str) -> None:
        self._texts = list(texts)
        self._gateway = gateway

    def collect(self) -> Iterator[Metric]:
        """Yield each metric family once."""
        up = Metric("airworthy_model_server_up", "Whether the model server answered the scrape", "gauge")
        families: dict[str, Metric] = {up.name: up}
        for server, text in self._texts:
            labels: dict[str, Any] = {
                "use_case": server.use_case,
                "version": str(server.version),
                "replica": str(server.replica),
            }
            up.add_sample(up.name, labels, float(bool(text)))
            for family in text_string_to_metric_families(text):
                _merge(families, family, labels)
        for family in text_string_to_metric_families(self._gateway):
            # Those of the collector's process alone say nothing of the gateway.
            if family.name.startswith(OWN_PREFIX):
                _merge(families, family, {})
        yield from families.values()


class _Objectives:
    """A collector of the declared service levels, which alert rules compare with what happens."""

    def __init__(self, objectives: Mapping[str, Slo]) -> None:
        self._objectives = objectives

    def collect(self) -> Iterator[Metric]:
        """Yield the promised share of answered requests and the promised latency."""
        availability = Metric("airworthy_slo_availability", "Promised share of answered requests", "gauge")
        latency = Metric("airworthy_slo_latency_seconds", "Promised 99th percentile of the latency", "gauge")
        for use_case, slo in self._objectives.items():
            availability.add_sample(availability.name, {"use_case": use_case}, slo.availability)
            latency.add_sample(latency.name, {"use_case": use_case}, slo.latency_p99_ms / 1000)
        yield from (availability, latency)


class _Silences:
    """A collector of how long champions were not monitored, beyond what their schedule allows."""

    def __init__(self, silences: Mapping[str, float]) -> None:
        self._silences = silences

    def collect(self) -> Iterator[Metric]:
        """Yield the time in seconds, 0 for a use case whose monitoring is in time."""
        silent = Metric(
            "airworthy_monitoring_silent_seconds", "Time since the last check that is overdue", "gauge"
        )
        for use_case, seconds in self._silences.items():
            silent.add_sample(silent.name, {"use_case": use_case}, seconds)
        yield silent


def _merge(families: dict[str, Metric], family: Metric, labels: dict[str, Any]) -> None:
    merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
    for sample in family.samples:
        merged.add_sample(sample.name, labels | sample.labels, sample.value)
