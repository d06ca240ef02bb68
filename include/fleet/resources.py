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
    try:
        servers = read_resources(use_case)
    except httpx.HTTPError as error:
        return PanelContent(note=f"The gateway's metrics cannot be read: {error}.")
    if not servers:
        return PanelContent(note="No model server runs.")
    note = "Of when the page was opened. CPU is the mean since the server's start, retries since HAProxy's."
    return PanelContent(COLUMNS, _resource_rows(servers), note)


def read_resources(use_case: str) -> Servers:
    """
    Return the figures of each model server, by version and replica.

    They are `cpu_seconds`, `seconds` since its start and `memory_bytes` of the process; and, of the requests
    that the gateway sends to it, those `in_flight` now and the `retries` since the gateway's start.

    Raises
    ------
    httpx.HTTPError
        If the gateway does not answer, or wants a token.
    """
    servers: Servers = defaultdict(dict)
    with httpx.Client(base_url=settings().gateway_uri, timeout=TIMEOUT_S, trust_env=False) as client:
        for name, labels, value in _scrape_samples(client, "/metrics"):
            if labels.get("use_case") == use_case and name in PROCESS_METRICS:
                key = (int(labels["version"]), int(labels["replica"]))
                servers[key][PROCESS_METRICS[name]] = value
        for name, labels, value in _scrape_samples(client, "/metrics/haproxy"):
            if name in HAPROXY_METRICS:
                member = _served_by(use_case, labels["proxy"], labels["server"])
                if member in servers:
                    figure = HAPROXY_METRICS[name]
                    servers[member][figure] = servers[member].get(figure, 0.0) + value
    now = time.time()
    for figures in servers.values():
        if "started" in figures:
            figures["seconds"] = now - figures.pop("started")
    return dict(servers)


def _resource_rows(servers: Servers) -> list[tuple[str | int, ...]]:
    """Return the cells of `COLUMNS`, the newest version first."""
    return [
        (
            f"version {version}",
            replica,
            f"{figures['cpu_seconds'] / max(figures['seconds'], 1.0):.2f}" if "seconds" in figures else "",
            f"{figures['memory_bytes'] / 1e6:,.0f}" if "memory_bytes" in figures else "",
            f"{figures.get('in_flight', 0):.0f}",
            f"{figures.get('retries', 0):.0f}",
        )
        for (version, replica), figures in sorted(servers.items(), key=lambda item: (-item[0][0], item[0][1]))
    ]


def _scrape_samples(client: httpx.Client, path: str) -> Iterator[tuple[str, dict[str, str], float]]:
    text = client.get(path).raise_for_status().text
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value


def _served_by(use_case: str, backend: str, server: str) -> tuple[int, int] | None:
    """Return version and replica behind a server of HAProxy; None for those of other use cases."""
    route = BACKEND.fullmatch(backend)
    member = SERVER.fullmatch(server)
    if route is None or member is None or route["use_case"] != use_case:
        return None
    is_fallback = member["role"] == "champion" and route["champion"]
    return int(route["champion"] if is_fallback else route["version"]), int(member["replica"])
