"""Incidents that people are told about: which are open, which a channel was told, and which are over."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from include.database.ledger import Entry, append
from include.database.tables import ledger, monitoring_result
from include.release.freeze import freeze_cause
from include.release.heartbeat import find_silences
from include.release.rollout import read_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from include.database.ledger import Event
    from include.declarations import UseCase
    from include.monitoring.alerting.failures import RunFailure

# A check of service levels runs each hour and records each hour with an alarm.
SERVICE_TIMEOUT = timedelta(hours=2, minutes=30)
# Who freezes releases after repeated rollbacks.
ROLLOUT = "rollout"
RUNBOOKS = {
    "drift": "drift-alarm",
    "quality": "drift-alarm",
    "labels": "late-data",
    "service": "releases-frozen",
    "frozen": "releases-frozen",
    "silence": "drift-alarm",
    "late_data": "late-data",
}


@dataclass(frozen=True, slots=True)
class Incident:
    """
    Something that a person has to know or do.

    Attributes
    ----------
    kind : str
        `drift`, `quality` and `labels` when monitoring needs a person, `service` while an alarm of the
        service level goes on, `frozen` while releases are, `silence` if monitoring itself has no result, and
        `failed`, `late_data` and `long_run` of the DAGs.
    reason : str
        What happened, with the figures, or the end of what a task said.
    version : int or None
    subject : str
        Task or DAG of a failure; empty for an incident of a model. One incident of a kind and subject is open
        at a time.
    page : str
        Path of the runbook in the documentation, if it is not that of the kind.
    link : str
        Address of the log.
    """

    kind: str
    reason: str
    version: int | None = None
    subject: str = ""
    page: str = ""
    link: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Identity of the incident, while it is open."""
        return self.kind, self.subject

    @property
    def title(self) -> str:
        """The kind, with what it is about."""
        return f"{self.kind} {self.subject}".rstrip()

    @property
    def runbook(self) -> str:
        """Path of the runbook in the documentation."""
        return self.page or f"runbooks/{RUNBOOKS.get(self.kind, 'index')}.md"


@dataclass(frozen=True, slots=True)
class News:
    """What is to be told about a use case, dataset or the platform: incidents that began, and those over."""

    name: str
    began: tuple[Incident, ...] = ()
    ended: tuple[Incident, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.began or self.ended)


def failure_incidents(failures: Iterable[RunFailure]) -> list[Incident]:
    """Return one incident for each task that failed, and each DAG with runs that take too long."""
    incidents: dict[tuple[str, str], Incident] = {}
    counts = Counter((failure.kind, failure.subject) for failure in failures)
    for failure in failures:
        others = counts[failure.kind, failure.subject] - 1
        siblings = "runs" if failure.kind == "long_run" else "mapped tasks"
        more = f" (and {others} more of its {siblings})" if others else ""
        page = failure.runbook.removeprefix("docs/")
        incident = Incident(
            failure.kind,
            f"{failure.reason}{more}",
            subject=failure.subject,
            page=page,
            link=failure.link,
        )
        incidents[incident.key] = incident
    return list(incidents.values())


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
    kind = next((kind for kind in ("labels", "quality") if kind in fired), "drift")
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
    silence = find_silences(connection, {name: use_case}, now).get(name)
    if silence is None:
        return []
    last = silence.checked_at
    since = f"since {last:%Y-%m-%d %H:%M} UTC" if last else "ever"
    return [Incident("silence", f"no check of drift and quality {since}: {name}_monitoring does not run")]


def read_notifications(connection: Connection, name: str) -> list[dict[str, Any]]:
    """Return what was told about a name by the ledger, oldest first: event, incident and channels."""
    query = (
        select(ledger.c.event, ledger.c.reason, ledger.c.version, ledger.c.evidence)
        .where(ledger.c.use_case == name, ledger.c.event.in_(("alerted", "resolved")))
        .order_by(ledger.c.id)
    )
    notifications = []
    for row in connection.execute(query):
        evidence = row.evidence
        subject = evidence.get("subject", "")
        incident = Incident(evidence["kind"], row.reason, row.version, subject)
        notifications.append({"event": row.event, "incident": incident, "channels": evidence.get("channels")})
    return notifications


def open_by_channel(
    notifications: Iterable[Mapping[str, Any]], channel: str
) -> dict[tuple[str, str], Incident]:
    """
    Return the incidents that a channel was told, and was not told to be over.

    Entries without channels are about all of them.
    """
    notified: dict[tuple[str, str], Incident] = {}
    for entry in notifications:
        if entry["channels"] is not None and channel not in entry["channels"]:
            continue
        incident = entry["incident"]
        notified.pop(incident.key, None)
        if entry["event"] == "alerted":
            notified[incident.key] = incident
    return notified


def find_incidents(
    connection: Connection, use_case: UseCase, now: datetime, failures: Sequence[RunFailure] = ()
) -> tuple[list[Incident], bool]:
    """
    Return the open incidents of a use case with those of its DAGs, and whether nobody is told of new ones.

    Nothing begins while a person has frozen the releases, or in a silence that is declared; what is still
    open afterwards begins then.
    """
    incidents = [*find_open(connection, use_case, now), *failure_incidents(failures)]
    is_frozen = any(incident.kind == "frozen" for incident in incidents)
    is_held = is_frozen and _is_frozen_by_person(connection, use_case.name)
    return incidents, is_held or use_case.alerts.is_silent(now)


def news_of(
    name: str,
    incidents: Iterable[Incident],
    notified: Mapping[tuple[str, str], Incident],
    *,
    silent: bool = False,
) -> News:
    """
    Return what a channel has to be told, and was not told yet.

    Parameters
    ----------
    notified
        What the channel knows, by `open_by_channel`.
    silent
        Whether nothing begins now; an end may be told.
    """
    current = {incident.key: incident for incident in incidents}
    ended = tuple(incident for key, incident in notified.items() if key not in current)
    began = tuple(incident for key, incident in current.items() if key not in notified)
    return News(name, () if silent else began, ended)


def _is_frozen_by_person(connection: Connection, use_case: str) -> bool:
    """Return whether the newest freeze is neither due to the error budget nor to rollbacks."""
    query = (
        select(ledger.c.actor)
        .where(ledger.c.use_case == use_case, ledger.c.event == "frozen")
        .order_by(ledger.c.id.desc())
        .limit(1)
    )
    return freeze_cause(connection, use_case) is None and connection.scalar(query) != ROLLOUT


def record_notified(connection: Connection, taken: Mapping[str, News], *, actor: str) -> None:
    """Write into the ledger which channel took which news of one name, so that none is told twice."""
    entries: dict[tuple[Event, Incident], list[str]] = {}
    name = ""
    for channel, news in taken.items():
        name = news.name
        for incident in news.began:
            entries.setdefault(("alerted", incident), []).append(channel)
        for incident in news.ended:
            entries.setdefault(("resolved", incident), []).append(channel)
    for (event, incident), channels in entries.items():
        evidence = {"kind": incident.kind, "subject": incident.subject, "channels": channels}
        append(connection, Entry(name, event, actor, incident.reason, incident.version, evidence))
