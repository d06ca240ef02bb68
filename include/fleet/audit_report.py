"""The report for auditors: all models, present and past, with their owners, risks, evidence and approvals."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from datetime import datetime  # noqa: TC003  pandas and JSON read the values
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from include.database.tables import ledger
from include.fleet.overview import FleetEntry, read_fleet
from include.release.champion_history import ChampionRecord, champion_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd
    from sqlalchemy import Connection

    from include.declarations import UseCase

MODEL_EVENTS = ("registered", "refused", "promoted")


@dataclass(frozen=True, slots=True)
class AuditRow:
    """
    A model at the moment of the report.

    Attributes
    ----------
    declared : bool
        False for a model of the past, whose declaration was removed.
    registered, refused, promotions : int
        How many versions passed their gates, how many candidates did not, and how often one became champion.
    champion : int or None
        Version that serves; `since`, `by` and `reason` are of the ledger's entry that made it the champion.
    gates, approvals : str
        Results of the champion's gates when it was registered, and the people who approved it.
    """

    name: str
    declared: bool
    owner: str
    risk: str
    task: str
    status: str
    champion: int | None
    since: datetime | None
    by: str
    reason: str
    gates: str
    approvals: str
    registered: int
    refused: int
    promotions: int
    last_event: str
    last_event_at: datetime | None


def read_audit_rows(
    connection: Connection, use_cases: Mapping[str, UseCase], moment: datetime
) -> list[AuditRow]:
    """Return a row for each model that is declared, served or in the ledger, by name."""
    counts = _count_events(connection)
    fleet = {entry.name: entry for entry in read_fleet(connection, use_cases, also=counts)}
    return [
        _row(entry, champion_record(connection, name, moment), counts.get(name, {}))
        for name, entry in fleet.items()
    ]


def audit_frame(rows: Iterable[AuditRow]) -> pd.DataFrame:
    """Return the rows as a table of texts, one column for each attribute, for CSV and HTML."""
    import pandas as pd

    columns = list(AuditRow.__slots__)
    return pd.DataFrame([_row_cells(row) for row in rows], columns=columns)


def _row_cells(row: AuditRow) -> list[str]:
    return ["" if value is None else str(value) for value in astuple(row)]


def _count_events(connection: Connection) -> dict[str, dict[str, int]]:
    """Return how many entries of each event the ledger has, by model."""
    query = (
        select(ledger.c.use_case, ledger.c.event, func.count())
        .where(ledger.c.event.in_(MODEL_EVENTS))
        .group_by(ledger.c.use_case, ledger.c.event)
    )
    counts: dict[str, dict[str, int]] = {}
    for name, event, count in connection.execute(query):
        counts.setdefault(name, {})[event] = count
    return counts


def _row(entry: FleetEntry, record: ChampionRecord | None, counts: Mapping[str, int]) -> AuditRow:
    made: Mapping[str, Any] = record.made if record else {}
    return AuditRow(
        name=entry.name,
        declared=entry.declared,
        owner=entry.owner,
        risk=entry.risk,
        task=entry.task,
        status=entry.status,
        champion=made.get("version"),
        since=made.get("at"),
        by=made.get("actor", ""),
        reason=made.get("reason", ""),
        gates="; ".join(f"{gate['gate']}: {gate['outcome']}" for gate in record.gates) if record else "",
        approvals="; ".join(_approval_text(step) for step in record.approvals) if record else "",
        registered=counts.get("registered", 0),
        refused=counts.get("refused", 0),
        promotions=counts.get("promoted", 0),
        last_event=entry.event,
        last_event_at=entry.event_at,
    )


def _approval_text(approval: Mapping[str, Any]) -> str:
    return f"{approval['actor']} on {approval['at']:%Y-%m-%d %H:%M}: {approval['reason']}"
