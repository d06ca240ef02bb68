"""Champions of a use case in the past and how each became champion, read from the ledger."""

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

MAX_STEPS = 100
JSON_COLUMNS = ("id", "event", "version", "actor", "reason", "evidence")


@dataclass(frozen=True, slots=True)
class ChampionRecord:
    """
    A champion and the ledger entries of its version.

    `made` is the entry that made the version the champion (`promoted` or `rolled_back`). `steps` are at most
    the last `MAX_STEPS` entries before it, oldest first.
    """

    made: Mapping[str, Any]
    steps: tuple[Mapping[str, Any], ...]

    @property
    def gates(self) -> list[dict[str, Any]]:
        """Results of the gates when the version was registered; empty if it was not."""
        registrations = [step for step in self.steps if step["event"] == "registered"]
        if not registrations:
            return []
        gates: list[dict[str, Any]] = registrations[-1]["evidence"].get("gates", [])
        return gates

    @property
    def approvals(self) -> list[Mapping[str, Any]]:
        """Entries of the people who approved the version."""
        return [step for step in self.steps if step["event"] == "approved"]

    def as_json(self) -> dict[str, Any]:
        """Return the record as JSON, with timestamps in ISO 8601."""
        return {
            "version": self.made["version"],
            "since": self.made["at"].isoformat(),
            "by": self.made["actor"],
            "reason": self.made["reason"],
            "gates": self.gates,
            "approvals": [_entry_as_json(entry) for entry in self.approvals],
            "steps": [_entry_as_json(entry) for entry in (*self.steps, self.made)],
        }


def champion_record(connection: Connection, use_case: str, moment: datetime) -> ChampionRecord | None:
    """Return the champion at a moment and how it became champion, or None if there was no champion."""
    made = champion_at(connection, use_case, moment)
    if made is None:
        return None
    earlier_entries = (
        select(ledger)
        .where(ledger.c.use_case == use_case, ledger.c.version == made["version"], ledger.c.id < made["id"])
        .order_by(ledger.c.id.desc())
        .limit(MAX_STEPS)
    )
    steps = [dict(row) for row in connection.execute(earlier_entries).mappings()]
    return ChampionRecord(made, tuple(reversed(steps)))


def champions(connection: Connection, use_case: str, *, limit: int) -> list[dict[str, Any]]:
    """Return the last `limit` changes of champion as JSON, newest first."""
    query = (
        select(ledger)
        .where(ledger.c.use_case == use_case, ledger.c.event.in_(("promoted", "rolled_back")))
        .order_by(ledger.c.id.desc())
        .limit(limit)
    )
    return [_entry_as_json(dict(row)) for row in connection.execute(query).mappings()]


def _entry_as_json(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"at": entry["at"].isoformat()} | {name: entry[name] for name in JSON_COLUMNS}
