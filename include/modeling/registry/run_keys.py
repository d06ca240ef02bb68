"""Keys of MLflow runs, and the tags by which a run names the run that it succeeds."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlflow.entities import Run

KEY = "airworthy.key"
SUPERSEDES = "airworthy.supersedes"
SUPERSEDED_BY = "airworthy.superseded_by"
REPLACES = "airworthy.replaces_deleted"
# Tag of the run of an experiment: what it changes, as JSON.
EXPERIMENT = "airworthy.experiment"

log = logging.getLogger(__name__)


def run_origin(identity: str) -> str:
    """Return the part of the key that all runs with this identity share: the SHA-256 of the identity."""
    return hashlib.sha256(identity.encode()).hexdigest()


def key_after_clears(origin: str, clears: int) -> str:
    """Return the key of the run after `clears` clears of its task."""
    return f"{origin}/{clears}" if clears else origin


def predecessor_tags(runs: Iterable[Run], key: str) -> dict[str, str]:
    """
    Return the tags by which a new run names its predecessor; none without a predecessor.

    Parameters
    ----------
    runs
        Earlier runs with the same origin, deleted ones too, newest first.
    key
        Key of the new run.
    """
    for run in runs:
        # The new run belongs to a late attempt from before that clear.
        if _clear_number(run.data.tags[KEY]) > _clear_number(key):
            continue
        if run.info.lifecycle_stage == "deleted":
            log.warning("The MLflow run %s was deleted: a new one replaces it.", run.info.run_id)
            return {REPLACES: run.info.run_id}
        return {SUPERSEDES: run.info.run_id}
    return {}


def is_superseded(run: Run, key: str) -> bool:
    """Return whether the run with this key supersedes `run`, which no later run has superseded yet."""
    is_earlier = _clear_number(run.data.tags[KEY]) < _clear_number(key)
    is_deleted = run.info.lifecycle_stage == "deleted"
    return is_earlier and not is_deleted and SUPERSEDED_BY not in run.data.tags


def _clear_number(key: str) -> int:
    return int(key.partition("/")[2] or 0)
