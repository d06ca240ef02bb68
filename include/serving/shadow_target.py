"""The target of the champion's copies: written by the controller, read by the model server."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from include.atomic_files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class ShadowTarget:
    """
    `champion` sends the fraction `share` of its requests to `challenger`.

    `addresses` are those of the challenger's replicas; each replica of the champion uses one of them.
    """

    champion: int
    challenger: int
    addresses: tuple[str, ...]
    share: float

    def address_for(self, replica: int) -> str:
        """Return where the champion's replica of this number sends its copies."""
        return self.addresses[(replica - 1) % len(self.addresses)]


def write_target(file: Path, target: ShadowTarget | None) -> None:
    """Write the target for the champion to read; None stops the copies."""
    text = json.dumps(asdict(target) if target else None)
    if file.exists() and file.read_text() == text:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, text)
