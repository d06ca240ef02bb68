"""How long a newcomer waits."""

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

RECORD = "demo.json"  # what the demo itself wrote into its home


def demo_seconds(rig: Rig) -> Figure:
    """Return what the demo of this home recorded; without a record, play it in a home of its own."""
    recorded = rig.home / RECORD
    where = f"as recorded in {recorded}" if recorded.exists() else "played in an empty home"
    found = json.loads((recorded if recorded.exists() else _play(rig)).read_text())
    slowest = max(found["chapters"], key=found["chapters"].get)
    return Figure(
        "demo_seconds",
        found["seconds"],
        "s",
        "at most 480 from nothing, 300 again",
        f"airworthy demo, {where}; longest: {slowest}, {found['chapters'][slowest]:.0f} s",
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
