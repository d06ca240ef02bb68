"""What the model servers of a use case need now, from the metrics of the controller and of HAProxy."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from typing import TYPE_CHECKING

import httpx
from prometheus_client.parser import text_string_to_metric_families

from include.fleet.panel_content import PanelContent
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.samples import Sample
    from sqlalchemy import Connection

TIMEOUT_S = 2.0
# A server of HAProxy, by its backend: those of a challenger fall back to the champion.
BACKEND = re.compile(
    r"(?P<use_case>[a-z][a-z0-9_]*)\.v(?P<version>\d+)(\.over\.v(?P<champion>\d+))?(\.again)?"
)
SERVER = re.compile(r"(?P<role>champion|challenger)(?P<replica>\d+)")
COLUMNS = ("version", "replica", "CPU cores", "memory MB", "in flight", "retries")

PROCESS_METRICS = {
    "process_cpu_seconds_total": "cpu_seconds",
    "process_resident_memory_bytes": "memory_bytes",
    "process_start_time_seconds": "started",
}
HAPROXY_METRICS = {
    "haproxy_server_current_sessions": "in_flight",
    "haproxy_server_retry_warnings_total": "retries",
}

Servers = dict[tuple[int, int], dict[str, float]]


def read_servers(_connection: Connection, use_case: str) -> PanelContent:
    """Return CPU, memory, requests in flight and retries of each model server."""
    servers: Servers = defaultdict(dict)
    problem = ""
    with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
        try:
            _add_process_figures(client, use_case, servers)
            _add_gateway_figures(client, use_case, servers)
        except httpx.HTTPError as error:
            problem = f" {_metrics_problem(error)}"
    if not servers:
        return PanelContent(note=problem or "No model server runs.")
    note = "Of when the page was opened. CPU is the mean since the server's start, retries since HAProxy's."
    return PanelContent(COLUMNS, _resource_rows(servers), note + problem)


def _add_process_figures(client: httpx.Client, use_case: str, servers: Servers) -> None:
    """Add `cpu_seconds`, `memory_bytes` and the time when it `started`, of the process of each server."""
    try:
        # The controller of the embedded stack wants no token.
        text = _read_text(client, f"http://127.0.0.1:{settings().controller_port}/metrics")
    except httpx.TransportError:
        text = _read_text(client, f"{settings().gateway_uri}/metrics")
    for sample in _scrape_samples(text):
        if sample.labels.get("use_case") == use_case and sample.name in PROCESS_METRICS:
            member = (int(sample.labels["version"]), int(sample.labels["replica"]))
            servers[member][PROCESS_METRICS[sample.name]] = sample.value


def _add_gateway_figures(client: httpx.Client, use_case: str, servers: Servers) -> None:
    """Add the requests `in_flight` to each server now, and the `retries`."""
    for sample in _scrape_samples(_read_text(client, f"{settings().gateway_uri}/metrics/haproxy")):
        if sample.name in HAPROXY_METRICS:
            member = _served_by(use_case, sample.labels["proxy"], sample.labels["server"])
            if member in servers:
                figure = HAPROXY_METRICS[sample.name]
                servers[member][figure] = servers[member].get(figure, 0.0) + sample.value


def _resource_rows(servers: Servers) -> list[tuple[str | int, ...]]:
    """Return the cells of `COLUMNS`, the newest version first; without a figure they are empty."""
    rows: list[tuple[str | int, ...]] = []
    for (version, replica), figures in sorted(servers.items(), key=lambda item: (-item[0][0], item[0][1])):
        cores = ""
        memory = ""
        if "cpu_seconds" in figures:
            cores = f"{figures['cpu_seconds'] / max(time.time() - figures['started'], 1.0):.2f}"
        if "memory_bytes" in figures:
            memory = f"{figures['memory_bytes'] / 1e6:,.0f}"
        counts = [f"{figures[name]:.0f}" if name in figures else "" for name in ("in_flight", "retries")]
        rows.append((f"version {version}", replica, cores, memory, *counts))
    return rows


def _metrics_problem(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.HTTPStatusError) and error.response.status_code in {401, 403}:
        return f"The gateway tells {error.request.url.path} only to a token of the scope --metrics."
    return f"The metrics cannot be read: {error}."


def _read_text(client: httpx.Client, url: str) -> str:
    return client.get(url).raise_for_status().text


def _scrape_samples(text: str) -> Iterator[Sample]:
    for family in text_string_to_metric_families(text):
        yield from family.samples


def _served_by(use_case: str, backend: str, server: str) -> tuple[int, int] | None:
    """Return version and replica behind a server of HAProxy; None for those of other use cases."""
    route = BACKEND.fullmatch(backend)
    member = SERVER.fullmatch(server)
    if route is None or member is None or route["use_case"] != use_case:
        return None
    is_fallback = member["role"] == "champion" and route["champion"]
    return int(route["champion"] if is_fallback else route["version"]), int(member["replica"])
