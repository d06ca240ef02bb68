"""Incidents of a model that people are told about: which are open, which were told, and which are over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from include.database.ledger import Entry, append
from include.database.tables import ledger, monitoring_result
from include.release.freeze import freeze_cause
from include.release.rollout import read_state

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from include.database.ledger import Event
    from include.declarations import UseCase

# A check of service levels runs each hour and records each hour with an alarm.
SERVICE_TIMEOUT = timedelta(hours=2, minutes=30)
# Who freezes releases after repeated rollbacks.
ROLLOUT = "rollout"
RUNBOOKS = {
    "drift": "drift-alarm",
    "quality": "drift-alarm",
    "service": "releases-frozen",
    "frozen": "releases-frozen",
    "silence": "drift-alarm",
}


@dataclass(frozen=True, slots=True)
class Incident:
    """
    Something that a person has to know or do.

    Attributes
    ----------
    kind : str
        One incident of a kind is open at a time: `drift` and `quality` when monitoring needs a person,
        `service` while an alarm of the service level goes on, `frozen` while releases are, `silence` if
        monitoring itself has no result.
    reason : str
        What happened, with the figures.
    version : int or None
    """

    kind: str
    reason: str
    version: int | None = None

    @property
    def runbook(self) -> str:
        """Path of the runbook in the documentation."""
        return f"runbooks/{RUNBOOKS[self.kind]}.md"


@dataclass(frozen=True, slots=True)
class News:
    """What is to be told about a use case: incidents that began, and the kinds of those that are over."""

    use_case: str
    began: tuple[Incident, ...] = ()
    ended: tuple[Incident, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.began or self.ended)


def find_open(connection: Connection, use_case: UseCase, now: datetime) -> list[Incident]:
    """Return the open incidents of a use case; none before it has a champion."""
    name = use_case.name
    state = read_state(connection, name)
    if state.champion is None:
        return []
    incidents = [
        *_monitoring_incidents(connection, name),
        *_service_incidents(connection, name, now),
        *_silence(connection, use_case, now),
    ]
    if state.frozen is not None:
        incidents.append(Incident("frozen", f"releases are frozen: {state.frozen}", state.champion))
    return incidents


def _monitoring_incidents(connection: Connection, use_case: str) -> list[Incident]:
    """Return what the newest check of drift and quality wants a person to do."""
    table = monitoring_result.c
    query = (
        select(table.version, table.decision, table.figures["decision"].label("decided"))
        .where(table.use_case == use_case, table.figures.has_key("drift"))
        .order_by(table.id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    if row is None or row.decision != "alert":
        return []
    fired = row.decided["evidence"].get("fired", [])
    kind = "quality" if "quality" in fired else "drift"
    return [Incident(kind, row.decided["reason"], row.version)]


def _service_incidents(connection: Connection, use_case: str, now: datetime) -> list[Incident]:
    """Return the alarms of the newest hour; an hour without an alarm is not recorded."""
    table = monitoring_result.c
    query = (
        select(table.version, table.figures["decision"].label("decided"))
        .where(table.use_case == use_case, table.figures.has_key("burns"))
        .where(table.window_end > now - SERVICE_TIMEOUT)
        .order_by(table.id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    if row is None or not row.decided["evidence"].get("alarms"):
        return []
    return [Incident("service", row.decided["reason"], row.version)]


def _silence(connection: Connection, use_case: UseCase, now: datetime) -> list[Incident]:
    """Return that monitoring is silent: it was due, there was a champion, and there is no result."""
    name = use_case.name
    due = use_case.schedules.last_monitoring(name, now)
    table = monitoring_result.c
    checked = select(func.max(table.at)).where(table.use_case == name, table.figures.has_key("drift"))
    promoted = select(func.max(ledger.c.at)).where(
        ledger.c.use_case == name, ledger.c.event.in_(("promoted", "rolled_back"))
    )
    last = connection.scalar(checked)
    moments = [moment for moment in (last, connection.scalar(promoted)) if moment is not None]
    if due is None or not moments or max(moments) >= due:
        return []
    since = f"since {last:%Y-%m-%d %H:%M} UTC" if last else "ever"
    return [Incident("silence", f"no check of drift and quality {since}: {name}_monitoring does not run")]


def read_notified(connection: Connection, use_case: str) -> dict[str, Incident]:
    """Return the incidents that were told and are not over by the ledger, by their kind."""
    query = (
        select(
            ledger.c.event, ledger.c.reason, ledger.c.version, ledger.c.evidence["kind"].astext.label("kind")
        )
        .where(ledger.c.use_case == use_case, ledger.c.event.in_(("alerted", "resolved")))
        .order_by(ledger.c.id)
    )
    notified: dict[str, Incident] = {}
    for row in connection.execute(query):
        notified.pop(row.kind, None)
        if row.event == "alerted":
            notified[row.kind] = Incident(row.kind, row.reason, row.version)
    return notified


def read_news(connection: Connection, use_case: UseCase, now: datetime) -> News:
    """
    Return what people have to be told about a use case, and were not told yet.

    Nothing begins while a person has frozen the releases, or in a silence that is declared; what is still
    open afterwards begins then.
    """
    name = use_case.name
    incidents = {incident.kind: incident for incident in find_open(connection, use_case, now)}
    notified = read_notified(connection, name)
    ended = tuple(incident for kind, incident in notified.items() if kind not in incidents)
    began = tuple(incident for kind, incident in incidents.items() if kind not in notified)
    if ("frozen" in incidents and _is_frozen_by_person(connection, name)) or use_case.alerts.is_silent(now):
        began = ()
    return News(name, began, ended)


def _is_frozen_by_person(connection: Connection, use_case: str) -> bool:
    """Return whether the newest freeze is neither due to the error budget nor to rollbacks."""
    query = (
        select(ledger.c.actor)
        .where(ledger.c.use_case == use_case, ledger.c.event == "frozen")
        .order_by(ledger.c.id.desc())
        .limit(1)
    )
    return freeze_cause(connection, use_case) is None and connection.scalar(query) != ROLLOUT


def record_notified(connection: Connection, news: News, *, actor: str) -> None:
    """Write into the ledger that people were told, so that nobody is told twice."""
    events: dict[Event, tuple[Incident, ...]] = {"alerted": news.began, "resolved": news.ended}
    for event, incidents in events.items():
        for incident in incidents:
            evidence = {"kind": incident.kind}
            append(
                connection,
                Entry(news.use_case, event, actor, incident.reason, incident.version, evidence),
            )
