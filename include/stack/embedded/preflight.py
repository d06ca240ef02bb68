"""What must be right before anything starts; each problem is said at once, with what to do."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil

from include.errors import SettingsError
from include.stack.embedded.programs import haproxy_binary

if TYPE_CHECKING:
    from pathlib import Path

    from include.settings import Settings

PYTHONS = ((3, 11), (3, 12))
LONGEST_HOME = 75  # bytes: a socket's path ends at 107, and a supervisor's name with a process id follows
LEAST_DISK = 2 * 1024**3


def check_machine(settings: Settings) -> None:
    """
    Make sure that a stack can start here; installs HAProxy when it may.

    :raises SettingsError: naming every problem found, and the remedy of each
    """
    problems = [*_python(), *_home(settings.root), *_disk(settings.root), *_tools(), *_ports(settings)]
    if problems:
        raise SettingsError("\n".join(problems))


def _python() -> list[str]:
    if sys.version_info[:2] in PYTHONS:
        return []
    known = " or ".join(f"{major}.{minor}" for major, minor in PYTHONS)
    return [f"Python {sys.version.split()[0]} is not supported: use {known} (make venv PYTHON=python3.12)."]


def _home(home: Path) -> list[str]:
    if len(os.fsencode(home)) > LONGEST_HOME:
        return [
            f"{home} is too long for the sockets below it: {len(os.fsencode(home))} bytes of {LONGEST_HOME}. "
            "Set AIRWORTHY_HOME to a shorter path."
        ]
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = home / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        return [f"{home} cannot be written: {error.strerror}. Set AIRWORTHY_HOME to a folder of yours."]
    return []


def _disk(home: Path) -> list[str]:
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if free >= LEAST_DISK:
        return []
    return [
        f"Only {free / 1024**3:.1f} GB are free where {home} lies, and the stack needs "
        f"{LEAST_DISK / 1024**3:.0f} GB. Free some, or set AIRWORTHY_HOME to another disk."
    ]


def _tools() -> list[str]:
    try:
        haproxy_binary()
    except SettingsError as missing:
        if os.geteuid() != 0:
            return [str(missing)]
        return _install_haproxy()
    return []


def _install_haproxy() -> list[str]:
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=120"]
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run([*apt, "update"], check=True, capture_output=True, text=True)  # noqa: S603
        subprocess.run(  # noqa: S603
            [*apt, "install", "--yes", "--no-install-recommends", "haproxy"],
            check=True, capture_output=True, text=True, env=quiet,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        return [f"HAProxy could not be installed: {error.stderr.strip()[-500:]}. Install it by hand."]
    except FileNotFoundError:
        return ["HAProxy is missing, and so is apt-get. Install HAProxy 2.6 or newer."]
    return []


def _ports(settings: Settings) -> list[str]:
    problems = []
    given: dict[int, str] = {}
    for variable, port in settings.ports.items():
        if port in given:
            problems.append(f"{variable} and {given[port]} are both {port}. Give each its own.")
        elif _taken(port):
            problems.append(
                f"Port {port} is taken{_by_whom(port)}. End that, or set {variable} to a free port."
            )
        given[port] = variable
    return problems


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _by_whom(port: int) -> str:
    for connection in psutil.net_connections("tcp"):
        listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
        if listens and connection.pid:
            try:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
            except psutil.NoSuchProcess:
                break
    return ""
