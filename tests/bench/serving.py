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
from functools import cache, partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from include.credentials import gateway_secret
from include.errors import ServiceUnavailable
from tests.bench.calls import Endpoint, call
from tests.bench.figures import Figure
from tests.bench.lifecycle import call_model
from tests.bench.pairs import measure_pairs, require_signal
from tests.bench.rig import BARE_CASE, LAST
from tests.conftest import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.bench.calls import Latencies
    from tests.bench.rig import Rig

# Short pairs, so that other load on the machine affects both sides alike.
SECONDS = 1.0
PAIRS = 15
CANARY_PAIRS = 9
MLFLOW_PAIRS = 7
# MLflow's server answers some requests a second.
MLFLOW_SECONDS = 4.0
CALLERS = 32
CANARY_PERCENT = 50
# Widest interval of a figure: in ms, and as a part of a ratio.
ALLOWED_MS = 0.2
ALLOWED_RATIO = 0.1
ALLOWED_PART = 0.5


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
    secret = gateway_secret(rig.stack.root)
    direct = Endpoint(fetched["address"], path, bodies, "champion", secret)
    return ServedVersion(fetched["version"], folder, gateway, direct)


def _request_body(row: dict[str, Any]) -> bytes:
    features = {name: value for name, value in row.items() if name != "flight_id"}
    return json.dumps({"dataframe_records": [features]}).encode()


def gateway_added_ms_p50(rig: Rig) -> Figure:
    """Compare the latency through the gateway with that of direct requests to the model server."""
    served_model = serve_champion(rig)
    pairs = measure_pairs(_p50_of(served_model.gateway), _p50_of(served_model.direct), PAIRS)
    added = require_signal(
        "gateway_added_ms_p50", [gateway - direct for gateway, direct in pairs], allowed=ALLOWED_MS
    )
    return Figure(
        "gateway_added_ms_p50",
        added.median,
        "ms",
        "direct requests to the model server",
        f"one caller, one row, {PAIRS} pairs of {SECONDS:g} s: {added} ms; p50 {_medians(pairs)} ms",
    )


def canary_cost_p50_ratio(rig: Rig) -> Figure:
    """Compare the latency during a canary of 50 % with that of the champion without a canary."""
    served_model = serve_champion(rig)
    if served_model.version == 1:
        with call_model(rig, BARE_CASE):
            rig.bare.ask("lifecycle", use_case=BARE_CASE, as_of=str(LAST), run="bench/second")
        serve_champion.cache_clear()
        served_model = serve_champion(rig)
    request = {"use_case": BARE_CASE, "version": served_model.version - 1, "run": "bench/canary"}
    without = _p50_of(served_model.gateway)

    def with_canary() -> float:
        rig.bare.ask("canary", percent=CANARY_PERCENT, **request)
        try:
            return without()
        finally:
            rig.bare.ask("canary", percent=0, **request)

    pairs = measure_pairs(with_canary, without, CANARY_PAIRS)
    cost = require_signal(
        "canary_cost_p50_ratio", [during / before for during, before in pairs], allowed=ALLOWED_RATIO
    )
    return Figure(
        "canary_cost_p50_ratio",
        cost.median,
        "ratio",
        "the champion without a canary",
        f"one caller through the gateway, {CANARY_PERCENT} % to a challenger, {CANARY_PAIRS} pairs of "
        f"{SECONDS:g} s: {cost}; p50 {_medians(pairs)} ms",
    )


def gateway_vs_mlflow_serve_throughput_ratio(rig: Rig) -> Figure:
    """Compare the throughput with that of MLflow's server."""
    return _against_mlflow(rig, "gateway_vs_mlflow_serve_throughput_ratio", "throughput", "requests/s")


def gateway_vs_mlflow_serve_p99_ratio(rig: Rig) -> Figure:
    """Compare the 99th percentile of the latency with that of MLflow's server."""
    return _against_mlflow(rig, "gateway_vs_mlflow_serve_p99_ratio", "p99", "ms")


def _against_mlflow(rig: Rig, name: str, quantity: str, unit: str) -> Figure:
    pairs = _measure_both(rig)[quantity]
    ratios = [gateway / mlflow for gateway, mlflow in pairs]
    ratio = require_signal(name, ratios, allowed=ALLOWED_PART * median(ratios))
    return Figure(
        name,
        ratio.median,
        "ratio",
        "mlflow models serve, same model folder",
        f"{CALLERS} connections, one row each, at no limited rate, {MLFLOW_PAIRS} pairs of "
        f"{MLFLOW_SECONDS:g} s: {ratio}; {_medians(pairs)} {unit}",
    )


@cache
def _measure_both(rig: Rig) -> dict[str, list[tuple[float, float]]]:
    """Return throughput and p99 of the gateway and of MLflow's server, in pairs."""
    served_model = serve_champion(rig)
    runs: dict[str, list[Latencies]] = {"gateway": [], "mlflow": []}

    def measure(side: str, endpoint: Endpoint) -> float:
        runs[side].append(call(endpoint, seconds=MLFLOW_SECONDS, callers=CALLERS))
        return 0.0

    with _mlflow_endpoint(rig, served_model) as mlflow:
        for endpoint in (served_model.gateway, mlflow):
            call(endpoint, seconds=MLFLOW_SECONDS, callers=CALLERS)
        measure_pairs(
            partial(measure, "gateway", served_model.gateway),
            partial(measure, "mlflow", mlflow),
            MLFLOW_PAIRS,
        )
    pairs = list(zip(runs["gateway"], runs["mlflow"], strict=True))
    return {
        "throughput": [(gateway.per_second, other.per_second) for gateway, other in pairs],
        "p99": [(gateway.quantile(0.99), other.quantile(0.99)) for gateway, other in pairs],
    }


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


def _p50_of(endpoint: Endpoint) -> Callable[[], float]:
    """Return a function that measures the median latency of one caller in ms."""
    return lambda: call(endpoint, seconds=SECONDS).quantile(0.5)


def _medians(pairs: Sequence[tuple[float, float]]) -> str:
    first, second = zip(*pairs, strict=True)
    return f"{median(first):.3g} against {median(second):.3g}"
