"""Answers of a model that is switched off: written by the controller, read by the fallback server."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from include.atomic_files import write_atomically
from include.inference.baseline_table import BASELINE, BaselineTable
from include.serving import paths
from include.serving.fallback.rows import read_rows

if TYPE_CHECKING:
    from pathlib import Path

    from include.inference.baseline_table import SlotPrediction
    from include.inference.predictions import Predictions
    from include.release.rollout import ReleaseState

# Kinds that the fallback server answers; the gateway itself answers the others, or another version does.
SERVED_KINDS = frozenset({"constant", "baseline"})


@dataclass(frozen=True, slots=True)
class _Fallback:
    """What a file says: the kind, and a constant or a table."""

    kind: str
    value: SlotPrediction | None
    table: BaselineTable | None


def prepare_fallback(state: ReleaseState) -> str:
    """
    Write what the fallback server needs for a use case that is switched off.

    Returns
    -------
    str
        Why it cannot answer, or an empty string.
    """
    fallback = state.fallback
    if fallback is None or fallback["kind"] not in SERVED_KINDS:
        return ""
    table = None
    problem = ""
    if fallback["kind"] == "baseline":
        file = paths.model_folder(state.use_case, fallback["version"]) / BASELINE
        table = _read_table(file, file.stat().st_mtime_ns) if file.exists() else None
        if table is None:
            problem = f"version {fallback['version']} has no {BASELINE}; switch off with another fallback"
    _write_fallback(paths.fallback_file(state.use_case), fallback["kind"], fallback.get("value"), table)
    return problem


def _write_fallback(file: Path, kind: str, value: SlotPrediction | None, table: str | None) -> None:
    text = json.dumps({"kind": kind, "value": value, "table": table})
    if not file.exists() or file.read_text() != text:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, text)


@lru_cache(maxsize=64)
def _read_table(file: Path, _modified_at: int) -> str:
    return file.read_text()


def predict_fallback(file: Path, body: bytes, content_type: str) -> tuple[str, Predictions] | None:
    """
    Return the kind of a fallback and its prediction for each row of a request; None if there is none.

    Raises
    ------
    BadRequest
        If the body is not in the scoring protocol. Names and types of columns are not checked.
    """
    if not file.exists():
        return None
    fallback = _read_fallback(file, file.stat().st_mtime_ns)
    rows = read_rows(body, content_type)
    if fallback.table is not None:
        return fallback.kind, cast("Predictions", [fallback.table.look_up(row) for row in rows])
    if fallback.value is not None:
        return fallback.kind, cast("Predictions", [fallback.value for _ in rows])
    return None


@lru_cache(maxsize=64)
def _read_fallback(file: Path, _modified_at: int) -> _Fallback:
    content = json.loads(file.read_text())
    table = BaselineTable.from_json(json.loads(content["table"])) if content["table"] else None
    return _Fallback(content["kind"], content["value"], table)
