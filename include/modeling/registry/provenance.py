"""Provenance of a model: its snapshot, code version, locked environment and tuned parameters."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any

from include.modeling.registry.registry import as_tags
from include.modeling.registry.source_files import source_digests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.declarations import UseCase

REPOSITORY = Path(__file__).parents[3]
# Files that a model depends on.
CODE = ("include", "dags", "plugins", "requirements.txt")
# MLflow cuts a tag after 8,000 characters.
FILES_PER_TAG = 40
SOURCES = "sources"
SOURCE_TAG = re.compile(rf"airworthy\.{SOURCES}\d*")
# Set where the code runs without its repository, as in an image.
CODE_VERSION_VARIABLE = "AIRWORTHY_CODE_VERSION"


@dataclass(frozen=True, slots=True)
class Provenance:
    """
    Inputs of a model.

    Parameters
    ----------
    snapshot
        Snapshot as a JSON object.
    code_version
        Commit of the code.
    lock_hash
        SHA-256 of the locked requirements.
    parameters
        Tuned parameters; empty without tuning.
    sources
        SHA-256 of the text of each file that the model is made of, by its path.
    """

    snapshot: Mapping[str, Any]
    code_version: str
    lock_hash: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 over all inputs."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True, default=str).encode()).hexdigest()

    @property
    def tags(self) -> dict[str, str]:
        """Tags of a run and its model."""
        values = {"code_version": self.code_version, "lock_hash": self.lock_hash, "inputs": self.digest}
        sources = sorted(self.sources.items())
        for start in range(0, len(sources), FILES_PER_TAG):
            values[f"{SOURCES}{start or ''}"] = json.dumps(dict(sources[start : start + FILES_PER_TAG]))
        return as_tags(values | self.parameter_tags)

    @property
    def parameter_tags(self) -> dict[str, str]:
        """Tuned parameters as JSON under the key `parameters`; empty without tuning."""
        return {"parameters": json.dumps(dict(self.parameters))} if self.parameters else {}


def tagged_sources(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the sources that the tags of a run name."""
    sources: dict[str, str] = {}
    for name in filter(SOURCE_TAG.fullmatch, tags):
        sources |= json.loads(tags[name])
    return sources


def current_provenance(snapshot: Mapping[str, Any], use_case: UseCase | None = None) -> Provenance:
    """Return the provenance of a model of `use_case` that is trained on `snapshot` by this process."""
    return Provenance(
        snapshot=snapshot,
        code_version=code_version(),
        lock_hash=lock_hash(),
        sources=source_digests(use_case) if use_case else {},
    )


@cache
def code_version() -> str:
    """
    Return the commit; `unknown` without a repository.

    `-dirty` is appended if files of `CODE` differ from the commit, or are not in it.
    """
    if version := os.environ.get(CODE_VERSION_VARIABLE):
        return version
    git = which("git")
    if git is None or not (REPOSITORY / ".git").exists():
        return "unknown"
    commit = _run_git(git, "rev-parse", "HEAD")
    if not commit:
        return "unknown"
    changed = _run_git(git, "status", "--porcelain", "--untracked-files=all", "--", *CODE)
    return f"{commit}-dirty" if changed else commit


def _run_git(git: str, *arguments: str) -> str:
    command = [git, "-C", str(REPOSITORY), *arguments]
    process = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  fixed words
    return process.stdout.strip()


@cache
def lock_hash() -> str:
    """Return the SHA-256 of the locked requirements."""
    return hashlib.sha256((REPOSITORY / "requirements.txt").read_bytes()).hexdigest()
