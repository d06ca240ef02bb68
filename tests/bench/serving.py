"""What the gateway costs a caller, and how it compares with MLflow's own server on the same model."""

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
from tests.bench.calls import Place, call
from tests.bench.figures import Figure
from tests.bench.rig import BARE_CASE, LAST
from tests.conftest import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.calls import Answers
    from tests.bench.rig import Rig

SECONDS = 4.0
TURNS = 3  # in turns, so that what the machine does otherwise hits both
CALLERS = 8
CANARY = 50  # percent


@dataclass(frozen=True)
class Served:
    """One model, reachable through the gateway and directly."""

    version: int
    folder: Path
    gateway: Place
    direct: Place


@cache
def served(rig: Rig) -> Served:
    """Return the champion of the use case that is never deployed by a DAG, made where there is none."""
    rig.stack  # noqa: B018  it has to be up
    folder = rig.folder / "champion"
    found = rig.bare.ask("fetch", use_case=BARE_CASE, folder=str(folder))
    if not found:
        rig.bare.ask("lifecycle", use_case=BARE_CASE, as_of=str(LAST), run="bench/served")
        found = rig.bare.ask("fetch", use_case=BARE_CASE, folder=str(folder))
    rows = [{name: value for name, value in row.items() if name != "flight_id"} for row in rig.rows]
    bodies = [json.dumps({"dataframe_records": [row]}).encode() for row in rows]
    path = f"/models/{BARE_CASE}/invocations"
    gateway = Place(urlsplit(rig.stack.gateway_uri).netloc, path, bodies)
    return Served(found["version"], folder, gateway, Place(found["address"], path, bodies))


def gateway_added_ms_p50(rig: Rig) -> Figure:
    """Compare one caller through the gateway with one at the model server itself."""
    place = served(rig)
    gateway, direct = _medians(place.gateway, place.direct)
    return Figure(
        "gateway_added_ms_p50",
        gateway - direct,
        "ms",
        "the model server asked directly",
        f"one caller, one row, {TURNS} times {SECONDS:g} s each: p50 {gateway:.2f} ms through the gateway, "
        f"{direct:.2f} ms directly",
    )


def canary_cost_p50_ratio(rig: Rig) -> Figure:
    """Compare callers while half of them get a challenger with callers of the champion alone."""
    place, run = served(rig), "bench/canary"
    if place.version == 1:
        rig.bare.ask("lifecycle", use_case=BARE_CASE, as_of=str(LAST), run="bench/second")
        served.cache_clear()
        place = served(rig)
    request = {"use_case": BARE_CASE, "version": place.version - 1, "run": run}
    during, alone = [], []
    for _ in range(TURNS):
        alone.append(call(place.gateway, seconds=SECONDS).quantile(0.5))
        rig.bare.ask("canary", percent=CANARY, **request)
        try:
            during.append(call(place.gateway, seconds=SECONDS).quantile(0.5))
        finally:
            rig.bare.ask("canary", percent=0, **request)
    return Figure(
        "canary_cost_p50_ratio",
        _median(during) / _median(alone),
        "ratio",
        "the champion alone",
        f"one caller through the gateway, {CANARY} % to a challenger: p50 {_median(during):.2f} ms, "
        f"without one {_median(alone):.2f} ms, {TURNS} times {SECONDS:g} s each in turns",
    )


def gateway_vs_mlflow_serve_throughput_ratio(rig: Rig) -> Figure:
    """Compare as many answers as callers can get from either."""
    found = _against_mlflow(rig)
    ours, theirs = (_median([a.per_second for a in found[name]]) for name in ("full", "full_mlflow"))
    return Figure(
        "gateway_vs_mlflow_serve_throughput_ratio",
        ours / theirs,
        "ratio",
        "mlflow models serve, same model folder",
        f"{CALLERS} callers, one row each, as fast as they can, {TURNS} times {SECONDS:g} s in turns: "
        f"{ours:.0f} against {theirs:.0f} requests/s",
    )


def gateway_vs_mlflow_serve_p99_ratio(rig: Rig) -> Figure:
    """Compare the slowest answers at a rate that both can bear."""
    found = _against_mlflow(rig)
    ours, theirs = (_median([a.quantile(0.99) for a in found[name]]) for name in ("half", "half_mlflow"))
    return Figure(
        "gateway_vs_mlflow_serve_p99_ratio",
        ours / theirs,
        "ratio",
        "mlflow models serve, same model folder",
        f"{CALLERS} callers, one row each, {found['rate']:.0f} requests/s (half of what the slower bears), "
        f"{TURNS} times {SECONDS:g} s in turns: p99 {ours:.1f} against {theirs:.1f} ms",
    )


@cache
def _against_mlflow(rig: Rig) -> dict[str, Any]:
    place = served(rig)
    found: dict[str, Any] = {name: [] for name in ("full", "full_mlflow", "half", "half_mlflow")}
    with _mlflow(rig, place) as theirs:
        call(theirs, seconds=1, callers=CALLERS)
        for _ in range(TURNS):
            found["full"].append(call(place.gateway, seconds=SECONDS, callers=CALLERS))
            found["full_mlflow"].append(call(theirs, seconds=SECONDS, callers=CALLERS))
        rate = min(_median([a.per_second for a in found[name]]) for name in ("full", "full_mlflow")) / 2
        for _ in range(TURNS):
            found["half"].append(call(place.gateway, seconds=SECONDS, callers=CALLERS, rate=rate))
            found["half_mlflow"].append(call(theirs, seconds=SECONDS, callers=CALLERS, rate=rate))
    return found | {"rate": rate}


@contextmanager
def _mlflow(rig: Rig, place: Served) -> Iterator[Place]:
    """Serve the very same folder with `mlflow models serve`, as its documentation says."""
    port = free_ports(1)[0]
    log = rig.folder / "mlflow-serve.log"
    beside = {"PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))}
    command = [
        sys.executable, "-m", "mlflow", "models", "serve", "--env-manager=local",
        "--host=127.0.0.1", f"--port={port}", f"--model-uri={place.folder}",
    ]  # fmt: skip
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=rig.task_variables | beside, start_new_session=True
        )
    try:
        _wait(f"http://127.0.0.1:{port}/ping", process, log)
        yield Place(f"127.0.0.1:{port}", "/invocations", place.gateway.bodies)
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
    raise ServiceUnavailable(f"mlflow models serve does not answer at {url}:\n{log.read_text()[-2000:]}")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


def _medians(one: Place, other: Place) -> tuple[float, float]:
    pairs: list[tuple[Answers, Answers]] = [
        (call(one, seconds=SECONDS), call(other, seconds=SECONDS)) for _ in range(TURNS)
    ]
    return _median([a.quantile(0.5) for a, _ in pairs]), _median([b.quantile(0.5) for _, b in pairs])


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
