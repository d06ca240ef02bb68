"""Checks of the machine before the stack starts; every problem is reported at once, with its remedy."""

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
# A socket's path has at most 107 bytes, and the name of the supervisor's with a process id follows.
MAX_HOME_BYTES = 75
MIN_FREE_BYTES = 2 * 1024**3
APT_LOCK_TIMEOUT_S = 120


def check_machine(settings: Settings) -> None:
    """
    Check that a stack can start here; as root, install HAProxy if it is missing.

    Raises
    ------
    SettingsError
        If something is wrong; the message names every problem and its remedy.
    """
    problems = [
        *_check_python(),
        *_check_home(settings.root),
        *_check_disk(settings.root),
        *_check_tools(),
        *_check_ports(settings),
    ]
    if problems:
        raise SettingsError("\n".join(problems))


def _check_python() -> list[str]:
    if sys.version_info[:2] in PYTHONS:
        return []
    supported = " or ".join(f"{major}.{minor}" for major, minor in PYTHONS)
    version = sys.version.split()[0]
    return [f"Python {version} is not supported: use {supported} (make venv PYTHON=python3.12)."]


def _check_home(home: Path) -> list[str]:
    if len(os.fsencode(home)) > MAX_HOME_BYTES:
        return [
            f"{home} is too long for the sockets below it: {len(os.fsencode(home))} bytes of at most "
            f"{MAX_HOME_BYTES}. Set AIRWORTHY_HOME to a shorter path."
        ]
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = home / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        return [f"{home} cannot be written: {error.strerror}. Set AIRWORTHY_HOME to another folder."]
    return []


def _check_disk(home: Path) -> list[str]:
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if free >= MIN_FREE_BYTES:
        return []
    return [
        f"Only {free / 1024**3:.1f} GB are free on the disk of {home}, and the stack needs "
        f"{MIN_FREE_BYTES / 1024**3:.0f} GB. Free some, or set AIRWORTHY_HOME to another disk."
    ]


def _check_tools() -> list[str]:
    try:
        haproxy_binary()
    except SettingsError as missing:
        if os.geteuid() != 0:
            return [str(missing)]
        return _install_haproxy()
    return []


def _install_haproxy() -> list[str]:
    apt = ["apt-get", "-o", f"DPkg::Lock::Timeout={APT_LOCK_TIMEOUT_S}"]
    noninteractive = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run([*apt, "update"], check=True, capture_output=True, text=True)  # noqa: S603
        subprocess.run(  # noqa: S603
            [*apt, "install", "--yes", "--no-install-recommends", "haproxy"],
            check=True, capture_output=True, text=True, env=noninteractive,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        return [f"HAProxy could not be installed: {error.stderr.strip()[-500:]}. Install it by hand."]
    except FileNotFoundError:
        return ["HAProxy is missing, and so is apt-get. Install HAProxy 2.6 or newer."]
    return []


def _check_ports(settings: Settings) -> list[str]:
    problems = []
    variables: dict[int, str] = {}
    for variable, port in settings.ports.items():
        if port in variables:
            problems.append(f"{variable} and {variables[port]} are both {port}. Give each its own.")
        elif _is_taken(port):
            owner = _describe_listener(port)
            problems.append(f"Port {port} is taken{owner}. End that, or set {variable} to a free port.")
        variables[port] = variable
    return problems


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _describe_listener(port: int) -> str:
    for connection in psutil.net_connections("tcp"):
        listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
        if listens and connection.pid:
            try:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
            except psutil.NoSuchProcess:
                break
    return ""
