"""Which code and which locked environment a model is made with."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any

from include.modeling.registry.registry import as_tags

if TYPE_CHECKING:
    from collections.abc import Mapping

REPOSITORY = Path(__file__).parents[3]
VARIABLE = "AIRWORTHY_CODE_VERSION"  # set where the code runs without its repository, as in an image


def provenance(snapshot: Mapping[str, Any]) -> Provenance:
    """Return what a model of this snapshot is made from, here and now."""
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


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a model is made from: snapshot (as a plain dict), code, locked environment, tuned parameters."""

    snapshot: Mapping[str, Any]
    code_version: str
    lock_hash: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The sha256 over all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True, default=str).encode()).hexdigest()

    @property
    def tags(self) -> dict[str, str]:
        """What a run and its model carry of it."""
        about = {"code_version": self.code_version, "lock_hash": self.lock_hash, "inputs": self.digest}
        return as_tags(about | self.chosen)

    @property
    def chosen(self) -> dict[str, str]:
        """The tuned parameters as JSON, where there are any."""
        return {"parameters": json.dumps(dict(self.parameters))} if self.parameters else {}
