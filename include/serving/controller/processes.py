"""The model servers' processes: start them, find those of a controller that was killed, end them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import psutil

from include.errors import ServiceUnavailable
from include.serving import paths
from include.serving.gateway.config import Server
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MODULE = "include.serving.model_server"
# A model that uses every core for one request would slow down all others.
QUIET = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def start_server(server: Server) -> psutil.Process:
    """Start a model server in its own process group, so that it outlives a controller that is killed."""
    log = paths.log_file(server.use_case, server.version)
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", MODULE, "--use-case", server.use_case, "--version", str(server.version),
        "--folder", str(paths.model_folder(server.use_case, server.version)), "--port", str(server.port),
    ]  # fmt: skip
    if log.exists():
        log.replace(log.with_suffix(".previous.log"))
    with log.open("w") as output:
        return psutil.Popen(
            command, env=os.environ | QUIET, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip


def find_servers() -> Iterator[tuple[Server, psutil.Process]]:
    """
    Give every model server of this home and user that runs, from the table of processes.

    Unlike pid files it has no moment at which a process exists and is not written down.
    """
    models = f"{settings().root / 'models'}{os.sep}"
    for process in psutil.process_iter(["cmdline", "uids", "status"]):
        about, uids = process.info["cmdline"] or [], process.info["uids"]
        if MODULE not in about or uids is None or uids.real != os.getuid():
            continue
        given = dict(pairwise(about))
        if process.info["status"] != psutil.STATUS_ZOMBIE and given.get("--folder", "").startswith(models):
            yield Server(given["--use-case"], int(given["--version"]), int(given["--port"])), process


def has_ended(process: psutil.Process) -> bool:
    """Return whether a process is over; one of our own children is laid to rest."""
    try:
        process.wait(0)
    except psutil.TimeoutExpired:
        return False
    return True


def end_server(processes: Iterable[psutil.Process], patience: float = 10) -> None:
    """End processes: kindly, and after `patience` seconds by force."""
    running = list(processes)
    for process in running:
        _signal(process, force=False)
    _, stubborn = psutil.wait_procs(running, timeout=patience)
    for process in stubborn:
        _signal(process, force=True)
    psutil.wait_procs(stubborn, timeout=5)


def _signal(process: psutil.Process, *, force: bool) -> None:
    try:
        if force:
            process.kill()
        else:
            process.terminate()
            process.resume()  # a stopped process would never hear of it
    except psutil.NoSuchProcess:
        pass


def last_log_line(server: Server) -> str:
    """Return the last line that a model server wrote."""
    log = paths.log_file(server.use_case, server.version)
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "it said nothing"


def free_port(taken: set[int]) -> int:
    """
    Return a port of the model servers' range that nobody uses.

    :raises ServiceUnavailable: if there is none
    """
    first, last = settings().model_server_ports
    for port in range(first, last + 1):
        if port in taken:
            continue
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServiceUnavailable(f"All ports {first} to {last} are taken: widen AIRWORTHY_MODEL_SERVER_PORTS.")
