"""Where the champion sends copies of its requests: written by the controller, read by the model server."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Target:
    """Where `champion` sends `share` of its requests, as the controller wrote it."""

    champion: int
    challenger: int
    address: str
    share: float


def write_target(file: Path, target: Target | None) -> None:
    """Tell the champion where to send copies; nowhere, if there is no target."""
    text = json.dumps({name: getattr(target, name) for name in Target.__slots__}) if target else "null"
    if file.exists() and file.read_text() == text:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}")
    draft.write_text(text)
    draft.replace(file)
