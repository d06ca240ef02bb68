"""
The hash chain of the ledger: the hash of an entry covers its content and the hash of the entry before it.

The database computes the hashes when an entry is written; here they are computed again from what is stored.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Text, cast, func, select

from include.database.tables import ledger

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from types import UnionType

    from sqlalchemy import Connection

FIRST_HASH = ""
# What is read of an entry, and its type in JSON.
REQUIRED_COLUMNS: dict[str, type | UnionType] = {
    "id": int, "at": str, "use_case": str, "event": str, "version": int | None, "evidence": dict | None,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ChainedEntry:
    """
    One entry of a chain.

    Attributes
    ----------
    content
        The entry as JSON, exactly as it is hashed.
    previous_hash
        Hash of the entry before it; empty for the first one.
    hash
        SHA-256 of `previous_hash`, a line feed and `content`, in hexadecimal digits.
    """

    content: str
    previous_hash: str
    hash: str

    @property
    def values(self) -> dict[str, Any]:
        """Columns of the entry by name."""
        values: dict[str, Any] = json.loads(self.content)
        return values

    @property
    def is_readable(self) -> bool:
        """Whether the content is an object with the columns of an entry."""
        try:
            values = json.loads(self.content)
        except ValueError:
            return False
        if not isinstance(values, dict) or not REQUIRED_COLUMNS.keys() <= values.keys():
            return False
        return all(isinstance(values[name], kind) for name, kind in REQUIRED_COLUMNS.items())


def read_chain(connection: Connection, use_case: str) -> list[ChainedEntry]:
    """Return all entries of a use case, oldest first."""
    columns = ledger.c
    moment = func.to_char(func.timezone("UTC", columns.at), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    parts: list[Any] = ["id", columns.id, "at", moment]
    for name in ("use_case", "event", "version", "actor", "reason", "evidence", "dedup_key"):
        parts += [name, columns[name]]
    content = cast(func.jsonb_build_object(*parts), Text)
    query = select(content, columns.previous_hash, columns.hash).where(columns.use_case == use_case)
    return [ChainedEntry(*row) for row in connection.execute(query.order_by(columns.id))]


def newest_hash(connection: Connection, use_case: str) -> str:
    """Return the hash of the newest entry of a use case; empty without entries."""
    query = select(ledger.c.hash).where(ledger.c.use_case == use_case).order_by(ledger.c.id.desc()).limit(1)
    return connection.scalar(query) or FIRST_HASH


def chain_faults(entries: Sequence[ChainedEntry]) -> list[str]:
    """Return what is wrong with a chain: changed entries, and places where entries are missing."""
    faults = []
    previous = FIRST_HASH
    for entry in entries:
        label = _label(entry)
        if entry.previous_hash != previous:
            faults.append(f"an entry before {label} was removed or exchanged")
        if _hash(entry) != entry.hash:
            faults.append(f"{label} was changed after it was written")
        previous = entry.hash
    return faults


def missing_anchors(entries: Sequence[ChainedEntry], anchors: Collection[tuple[str, str]]) -> list[str]:
    """
    Return which hashes that were noted elsewhere are not in the chain, so that entries were removed.

    Parameters
    ----------
    entries
        Entries of one chain.
    anchors
        Hash, and where it was noted. The empty hash is in every chain.
    """
    hashes = {FIRST_HASH, *(entry.hash for entry in entries)}
    return [
        f"{source} names the entry {anchor[:12]}…, which is not there: it was removed or exchanged"
        for anchor, source in anchors
        if anchor not in hashes
    ]


def _hash(entry: ChainedEntry) -> str:
    return hashlib.sha256(f"{entry.previous_hash}\n{entry.content}".encode()).hexdigest()


def _label(entry: ChainedEntry) -> str:
    values = entry.values
    return f"entry {values['id']} ({values['event']}, {values['at'][:19]})"
