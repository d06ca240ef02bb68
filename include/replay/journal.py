"""The journal of a strategy: one line for each day that was played, so that a replay goes on after a stop."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import date, datetime  # noqa: TC003  pydantic reads the annotations
from typing import TYPE_CHECKING, Literal

from pydantic import TypeAdapter
from pydantic_core import to_json

from include.errors import ConflictError
from include.monitoring.governor import Action  # noqa: TC001

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

SETTINGS = "settings.json"
Conclusion = Literal["passed", "refused", "undecided", "failed"]


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """
    A training: its version, the conclusion of the gates, and the blocking gates that did not pass.

    It is `failed` if there was no candidate to judge; `reason` says why.
    """

    version: int
    conclusion: Conclusion
    gates: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CheckRecord:
    """The monitoring of a day: its moment, its window, the outcomes and the decision."""

    moment: datetime
    window: tuple[datetime, datetime]
    drift: str
    quality: str
    action: Action
    reason: str
    fired: tuple[str, ...]
    unobservable: bool


@dataclass(frozen=True, slots=True)
class DayRecord:
    """
    One day: the version that scored its `rows`, the check, the trainings, and the champion at its end.

    `refusals` counts the candidates that did not pass since the last promotion.
    """

    day: date
    version: int | None
    rows: int
    check: CheckRecord | None
    trainings: tuple[TrainingRecord, ...]
    champion: int | None
    refusals: int


class Journal:
    """
    The days of one strategy, in a file of JSON lines.

    Parameters
    ----------
    path
        File in an existing folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._adapter = TypeAdapter(DayRecord)

    def read(self) -> list[DayRecord]:
        """Return the days that were played; a last line that was cut off is deleted."""
        if not self.path.exists():
            return []
        content = self.path.read_bytes()
        complete = content[: content.rfind(b"\n") + 1]
        if len(complete) < len(content):
            os.truncate(self.path, len(complete))
        return [self._adapter.validate_json(line) for line in complete.splitlines()]

    def append(self, record: DayRecord) -> None:
        """Write a day."""
        with self.path.open("ab") as file:
            file.write(to_json(record) + b"\n")
            file.flush()
            os.fsync(file.fileno())


def require_same_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """
    Write the settings of a replay into its folder, or compare them with those that it began with.

    Raises
    ------
    ConflictError
        If the folder has a replay with other settings.
    """
    path = folder / SETTINGS
    text = json.dumps(settings, sort_keys=True, indent=1)
    if not path.exists():
        path.write_text(text)
        return
    begun = json.loads(path.read_text())
    changed = [name for name, value in json.loads(text).items() if begun.get(name) != value]
    if changed:
        raise ConflictError(
            f"{folder} holds a replay with other settings ({', '.join(changed)}). Give another folder, or "
            "delete this one."
        )
