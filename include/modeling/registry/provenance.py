"""Which code and which locked environment a model is made with."""

from __future__ import annotations

import hashlib
import os
import subprocess
from functools import cache
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.modeling.pipeline.train import Provenance

REPOSITORY = Path(__file__).parents[3]
VARIABLE = "AIRWORTHY_CODE_VERSION"  # set where the code runs without its repository, as in an image


def provenance(snapshot: Mapping[str, Any]) -> Provenance:
    """Return what a model of this snapshot is made from, here and now."""
    from include.modeling.pipeline.train import (
        Provenance,  # a worker that only tells its code needs none of it
    )

    return Provenance(snapshot=snapshot, code_version=code_version(), lock_hash=lock_hash())


@cache
def code_version() -> str:
    """Return the commit, `-dirty` behind it when files differ from it; `unknown` without a repository."""
    if version := os.environ.get(VARIABLE):
        return version
    git = which("git")
    if git is None or not (REPOSITORY / ".git").exists():
        return "unknown"
    command = [git, "-C", str(REPOSITORY), "describe", "--always", "--abbrev=40", "--dirty"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  fixed words
    return asked.stdout.strip() or "unknown"


@cache
def lock_hash() -> str:
    """Return the sha256 of the locked requirements."""
    return hashlib.sha256((REPOSITORY / "requirements.txt").read_bytes()).hexdigest()
