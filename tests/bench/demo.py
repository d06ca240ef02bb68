"""The duration of the demo."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from include.errors import ServiceUnavailable
from include.stack.embedded import environment
from tests.bench.figures import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.rig import Rig

# The record that the demo writes to its home.
RECORD = "demo.json"


def demo_seconds(rig: Rig) -> Figure:
    """Return the duration that the demo recorded in this home; without a record, run it in a new home."""
    recorded = rig.home / RECORD
    where = f"as recorded in {recorded}" if recorded.exists() else "played in an empty home"
    record = json.loads((recorded if recorded.exists() else _play(rig)).read_text())
    slowest = max(record["steps"], key=record["steps"].get)
    return Figure(
        "demo_seconds",
        record["seconds"],
        "s",
        "at most 600 from nothing, 420 again",
        f"airworthy demo, {where}; longest: {slowest}, {record['steps'][slowest]:.0f} s",
    )


def _play(rig: Rig) -> Path:
    try:
        done = _run(rig, "demo")
    finally:
        _run(rig, "stack", "down")
    if done.returncode:
        raise ServiceUnavailable(f"The demo failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    return rig.settings.root / RECORD


def _run(rig: Rig, *arguments: str) -> subprocess.CompletedProcess[str]:
    own = {"PYTHONPATH": str(environment.REPOSITORY)}
    return subprocess.run(
        [sys.executable, "-m", "include.cli", *arguments],
        cwd=environment.REPOSITORY, env=rig.shared | own, capture_output=True, text=True, check=False,
    )  # fmt: skip
