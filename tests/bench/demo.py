"""How long a newcomer waits."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

from include.errors import ServiceUnavailable
from include.stack import environment
from tests.bench.figures import Figure

if TYPE_CHECKING:
    from tests.bench.rig import Rig


def demo_seconds(rig: Rig) -> Figure:
    """Play the whole demo, in a home of its own unless one is set."""
    rig.folder.mkdir(exist_ok=True)
    variables = rig.shared
    began = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "include.stack.demo"],
            cwd=environment.REPOSITORY, env=variables, capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        seconds = time.monotonic() - began
        subprocess.run(
            [sys.executable, "-m", "include.stack", "down"],
            cwd=environment.REPOSITORY, env=variables, capture_output=True, check=False,
        )  # fmt: skip
    if done.returncode:
        raise ServiceUnavailable(f"The demo failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    return Figure(
        "demo_seconds",
        seconds,
        "s",
        "480 from nothing",
        "python -m include.stack.demo in an empty home, the environment installed already",
    )
