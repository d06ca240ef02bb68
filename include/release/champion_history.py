"""Who was champion, and why: told from the ledger alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from include.database.ledger import champion_at
from include.database.tables import ledger

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

MOST_STEPS = 100


@dataclass(frozen=True, slots=True)
class ChampionRecord:
    """A champion: the entry of the ledger that made it, and those that led there, oldest first."""

    made: Mapping[str, Any]
    steps: tuple[Mapping[str, Any], ...]

    @property
    def gates(self) -> list[dict[str, Any]]:
        """What each gate said when the version was registered."""
        found = [step["evidence"].get("gates", []) for step in self.steps if step["event"] == "registered"]
        return found[-1] if found else []

    @property
    def approvals(self) -> list[Mapping[str, Any]]:
        """The entries of people who let it pass."""
        return [step for step in self.steps if step["event"] == "approved"]

    def as_json(self) -> dict[str, Any]:
        """Return all of it, moments as ISO 8601."""
        return {
            "version": self.made["version"],
            "since": self.made["at"].isoformat(),
            "by": self.made["actor"],
            "reason": self.made["reason"],
            "gates": self.gates,
            "approvals": [_plain(entry) for entry in self.approvals],
            "steps": [_plain(entry) for entry in (*self.steps, self.made)],
        }


def champion_record(connection: Connection, use_case: str, moment: datetime) -> ChampionRecord | None:
    """Return the champion of a moment and how it came to be, or None where there was none."""
    made = champion_at(connection, use_case, moment)
    if made is None:
        return None
    before = (
        select(ledger)
        .where(ledger.c.use_case == use_case, ledger.c.version == made["version"], ledger.c.id < made["id"])
        .order_by(ledger.c.id.desc())
        .limit(MOST_STEPS)
    )
    steps = [dict(row) for row in connection.execute(before).mappings()]
    return ChampionRecord(made, tuple(reversed(steps)))


def champions(connection: Connection, use_case: str, *, limit: int) -> list[dict[str, Any]]:
    """Return the latest changes of champion, newest first."""
    query = (
        select(ledger)
        .where(ledger.c.use_case == use_case, ledger.c.event.in_(("promoted", "rolled_back")))
        .order_by(ledger.c.id.desc())
        .limit(limit)
    )
    return [_plain(dict(row)) for row in connection.execute(query).mappings()]


def _plain(entry: Mapping[str, Any]) -> dict[str, Any]:
    shown = ("id", "event", "version", "actor", "reason", "evidence")
    return {"at": entry["at"].isoformat()} | {name: entry[name] for name in shown}
