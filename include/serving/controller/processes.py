"""The processes of the model servers: starting them and finding those of an earlier controller."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import psutil

from include.serving import paths
from include.serving.gateway.config import Server
from include.settings import LOOPBACK, settings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

MODULE = "include.serving.model_server"
# A model that uses all cores for one request would slow down all other model servers.
VARIABLES = {
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1",
}  # fmt: skip


def start_server(server: Server) -> psutil.Process:
    """Start a model server in a session of its own, so that it survives a killed controller."""
    log = paths.log_file(*server.key)
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", MODULE, "--use-case", server.use_case, "--version", str(server.version),
        "--folder", str(paths.model_folder(server.use_case, server.version)), "--port", str(server.port),
        "--replica", str(server.replica),
    ]  # fmt: skip
    if log.exists():
        log.replace(log.with_suffix(".previous.log"))
    with log.open("w") as output:
        return psutil.Popen(
            command, env=os.environ | VARIABLES, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip


def find_servers() -> Iterator[tuple[Server, psutil.Process]]:
    """
    Yield each running model server of this home and user, read from the table of processes.

    A pid file would miss a process that was started just before the controller was killed.
    """
    models = f"{settings().root / 'models'}{os.sep}"
    for process in psutil.process_iter(["cmdline", "uids", "status"]):
        command = process.info["cmdline"] or []
        uids = process.info["uids"]
        if MODULE not in command or uids is None or uids.real != os.getuid():
            continue
        if process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        options = dict(pairwise(command))
        if options.get("--folder", "").startswith(models):
            version = int(options["--version"])
            replica = int(options.get("--replica", 1))
            yield Server(options["--use-case"], version, int(options["--port"]), replica), process


def has_ended(process: psutil.Process) -> bool:
    """Return whether a process has ended; a child of this process is reaped."""
    try:
        process.wait(0)
    except psutil.TimeoutExpired:
        return False
    return True


def is_stopped(process: psutil.Process) -> bool:
    """Return whether a process is stopped by a signal (SIGSTOP): it answers nobody, and keeps its memory."""
    try:
        stopped: bool = process.status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False
    return stopped


def last_log_line(server: Server) -> str:
    """Return the last line of a model server's log."""
    log = paths.log_file(*server.key)
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "its log is empty"


def free_port(taken: Collection[int]) -> int:
    """Return a port that the kernel chooses and that is not in `taken`; OSError if there is none."""
    while True:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port: int = probe.getsockname()[1]
        if port not in taken:
            return port


def can_bind(port: int) -> bool:
    """Return whether a server can listen on a port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
