"""Latency and throughput of the gateway, also in comparison with `mlflow models serve`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from include.errors import ServiceUnavailable
from tests.bench.calls import Endpoint, call
from tests.bench.figures import Figure
from tests.bench.rig import BARE_CASE, LAST
from tests.conftest import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.bench.calls import Latencies
    from tests.bench.rig import Rig

SECONDS = 4.0
# Measurements alternate between the two sides, so that other load on the machine affects both.
TURNS = 3
CALLERS = 8
CANARY_PERCENT = 50


@dataclass(frozen=True)
class ServedVersion:
    """A served version: its folder, and its endpoints at the gateway and at the model server."""

    version: int
    folder: Path
    gateway: Endpoint
    direct: Endpoint


@cache
def serve_champion(rig: Rig) -> ServedVersion:
    """Return the champion of the use case that no DAG deploys; train and deploy it if there is none."""
    rig.stack  # noqa: B018  starts the stack
    folder = rig.folder / "champion"
    fetched = rig.bare.ask("fetch", use_case=BARE_CASE, folder=str(folder))
    if not fetched:
        rig.bare.ask("lifecycle", use_case=BARE_CASE, as_of=str(LAST), run="bench/served")
        fetched = rig.bare.ask("fetch", use_case=BARE_CASE, folder=str(folder))
    bodies = [_request_body(row) for row in rig.rows]
    path = f"/models/{BARE_CASE}/invocations"
    gateway = Endpoint(urlsplit(rig.stack.gateway_uri).netloc, path, bodies)
    return ServedVersion(fetched["version"], folder, gateway, Endpoint(fetched["address"], path, bodies))


def _request_body(row: dict[str, Any]) -> bytes:
    features = {name: value for name, value in row.items() if name != "flight_id"}
    return json.dumps({"dataframe_records": [features]}).encode()


def gateway_added_ms_p50(rig: Rig) -> Figure:
    """Compare the latency through the gateway with that of direct requests to the model server."""
    served_model = serve_champion(rig)
    gateway, direct = _median_latencies(served_model.gateway, served_model.direct)
    return Figure(
        "gateway_added_ms_p50",
        gateway - direct,
        "ms",
        "direct requests to the model server",
        f"one caller, one row, {TURNS} times {SECONDS:g} s each: p50 {gateway:.2f} ms through the gateway, "
        f"{direct:.2f} ms directly",
    )


def canary_cost_p50_ratio(rig: Rig) -> Figure:
    """Compare the latency during a canary of 50 % with that of the champion without a canary."""
    served_model = serve_champion(rig)
    if served_model.version == 1:
        rig.bare.ask("lifecycle", use_case=BARE_CASE, as_of=str(LAST), run="bench/second")
        serve_champion.cache_clear()
        served_model = serve_champion(rig)
    request = {"use_case": BARE_CASE, "version": served_model.version - 1, "run": "bench/canary"}
    with_canary = []
    without_canary = []
    for _ in range(TURNS):
        without_canary.append(call(served_model.gateway, seconds=SECONDS).quantile(0.5))
        rig.bare.ask("canary", percent=CANARY_PERCENT, **request)
        try:
            with_canary.append(call(served_model.gateway, seconds=SECONDS).quantile(0.5))
        finally:
            rig.bare.ask("canary", percent=0, **request)
    p50_with = _median(with_canary)
    p50_without = _median(without_canary)
    return Figure(
        "canary_cost_p50_ratio",
        p50_with / p50_without,
        "ratio",
        "the champion without a canary",
        f"one caller through the gateway, {CANARY_PERCENT} % to a challenger: p50 {p50_with:.2f} ms, "
        f"without one {p50_without:.2f} ms, {TURNS} times {SECONDS:g} s each in turns",
    )


def gateway_vs_mlflow_serve_throughput_ratio(rig: Rig) -> Figure:
    """Compare the throughput with that of MLflow's server."""
    result = _measure_both(rig)
    gateway = _median_throughput(result["full"])
    mlflow = _median_throughput(result["full_mlflow"])
    return Figure(
        "gateway_vs_mlflow_serve_throughput_ratio",
        gateway / mlflow,
        "ratio",
        "mlflow models serve, same model folder",
        f"{CALLERS} callers, one row each, at no limited rate, {TURNS} times {SECONDS:g} s in turns: "
        f"{gateway:.0f} against {mlflow:.0f} requests/s",
    )


def gateway_vs_mlflow_serve_p99_ratio(rig: Rig) -> Figure:
    """Compare the 99th percentile of the latency with that of MLflow's server at the same rate."""
    result = _measure_both(rig)
    gateway = _median_quantile(result["half"], 0.99)
    mlflow = _median_quantile(result["half_mlflow"], 0.99)
    return Figure(
        "gateway_vs_mlflow_serve_p99_ratio",
        gateway / mlflow,
        "ratio",
        "mlflow models serve, same model folder",
        f"{CALLERS} callers, one row each, {result['rate']:.0f} requests/s (half of the lower throughput), "
        f"{TURNS} times {SECONDS:g} s in turns: p99 {gateway:.1f} against {mlflow:.1f} ms",
    )


@cache
def _measure_both(rig: Rig) -> dict[str, Any]:
    served_model = serve_champion(rig)
    result: dict[str, Any] = {name: [] for name in ("full", "full_mlflow", "half", "half_mlflow")}
    with _mlflow_endpoint(rig, served_model) as mlflow:
        call(mlflow, seconds=1, callers=CALLERS)
        for _ in range(TURNS):
            result["full"].append(call(served_model.gateway, seconds=SECONDS, callers=CALLERS))
            result["full_mlflow"].append(call(mlflow, seconds=SECONDS, callers=CALLERS))
        rate = min(_median_throughput(result[name]) for name in ("full", "full_mlflow")) / 2
        for _ in range(TURNS):
            result["half"].append(call(served_model.gateway, seconds=SECONDS, callers=CALLERS, rate=rate))
            result["half_mlflow"].append(call(mlflow, seconds=SECONDS, callers=CALLERS, rate=rate))
    return result | {"rate": rate}


@contextmanager
def _mlflow_endpoint(rig: Rig, served_model: ServedVersion) -> Iterator[Endpoint]:
    """Serve the same folder with `mlflow models serve` and yield the endpoint."""
    port = free_ports(1)[0]
    log = rig.folder / "mlflow-serve.log"
    path = {"PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))}
    command = [
        sys.executable, "-m", "mlflow", "models", "serve", "--env-manager=local",
        "--host=127.0.0.1", f"--port={port}", f"--model-uri={served_model.folder}",
    ]  # fmt: skip
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=rig.task_variables | path, start_new_session=True
        )
    try:
        _wait(f"http://127.0.0.1:{port}/ping", process, log)
        yield Endpoint(f"127.0.0.1:{port}", "/invocations", served_model.gateway.bodies)
    finally:
        _end_group(process)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 90
    while process.poll() is None and time.monotonic() < end:
        try:
            if httpx.get(url, timeout=2, trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise ServiceUnavailable(f"mlflow models serve does not respond at {url}:\n{log.read_text()[-2000:]}")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


def _median_latencies(*endpoints: Endpoint) -> list[float]:
    """Return the median latency of each endpoint in ms; the endpoints are called in turn."""
    medians: list[list[float]] = [[] for _ in endpoints]
    for _ in range(TURNS):
        for endpoint, values in zip(endpoints, medians, strict=True):
            values.append(call(endpoint, seconds=SECONDS).quantile(0.5))
    return [_median(values) for values in medians]


def _median_quantile(turns: Sequence[Latencies], share: float) -> float:
    return _median([latencies.quantile(share) for latencies in turns])


def _median_throughput(turns: Sequence[Latencies]) -> float:
    return _median([latencies.per_second for latencies in turns])


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
