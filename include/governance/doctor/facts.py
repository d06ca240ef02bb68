"""What the doctor looks at: one reading of the database, the registry and the processes of this machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import psutil
from sqlalchemy import func, select

from include.catalog import catalog
from include.certificates.certificate import verify_certificate
from include.database.ledger import champion_at, require_registered
from include.database.tables import desired_state, ledger, live_state
from include.errors import AirworthyError
from include.governance.doctor.both_logs import LoggedResponses, compare_logs
from include.modeling.registration.versions import verify_version
from include.release.heartbeat import find_silences
from include.release.rollout import read_state
from include.serving import paths
from include.serving.controller.processes import find_servers
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, Engine

    from include.modeling.registry.registry import Registry
    from include.release.rollout import ReleaseState


@dataclass(frozen=True, slots=True)
class ModelReading:
    """
    One use case.

    Attributes
    ----------
    state
        Its desired state.
    age
        Time since the desired state changed.
    live
        Row of the controller's report; None without one.
    reported
        Time since that report.
    entries
        Its ledger: `event` and `version`, oldest first.
    ledger_champion
        Version that the ledger says is the champion.
    registered
        Digest of each version by the ledger.
    faults
        What is wrong with the files or certificate of a version that may get traffic, by version.
    aliases
        Versions by alias in MLflow; None if it was not asked.
    servers
        Versions whose model server runs on this machine; None if servers run elsewhere.
    responses
        Requests of the last hour by both logs.
    unchecked
        If the monitoring is overdue, the time since its last check, or since the promotion of the champion.
    """

    state: ReleaseState
    age: timedelta
    live: Mapping[str, Any] | None = None
    reported: timedelta = timedelta(0)
    entries: tuple[tuple[str, int | None], ...] = ()
    ledger_champion: int | None = None
    registered: Mapping[int, str] = field(default_factory=dict)
    faults: Mapping[int, str] = field(default_factory=dict)
    aliases: Mapping[str, int] | None = None
    servers: tuple[int, ...] | None = None
    responses: LoggedResponses = field(default_factory=LoggedResponses)
    unchecked: timedelta = timedelta(0)


def named_versions(state: ReleaseState) -> set[int]:
    """Return the versions that may get traffic: champion, challenger, and that of the fallback."""
    fallback = (state.fallback or {}).get("version")
    return {version for version in (state.champion, state.challenger, fallback) if version is not None}


def read_models(engine: Engine, registry: Registry | None) -> list[ModelReading]:
    """Return a reading of each use case that was ever deployed; without a registry, its part is left out."""
    servers = _local_servers()
    with engine.connect() as connection:
        names = connection.scalars(select(desired_state.c.use_case).order_by(desired_state.c.use_case))
        return [_read_model(connection, registry, name, servers) for name in names.all()]


def _read_model(
    connection: Connection, registry: Registry | None, name: str, servers: list[tuple[str, int]] | None
) -> ModelReading:
    now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    state = read_state(connection, name)
    changed_at = select(desired_state.c.updated_at).where(desired_state.c.use_case == name)
    live = connection.execute(select(live_state).where(live_state.c.use_case == name)).mappings().first()
    query = select(ledger.c.event, ledger.c.version, ledger.c.evidence).where(ledger.c.use_case == name)
    rows = connection.execute(query.order_by(ledger.c.id)).all()
    champion = champion_at(connection, name, now)
    return ModelReading(
        state,
        now - connection.execute(changed_at).scalar_one(),
        dict(live) if live else None,
        now - live["reported_at"] if live else timedelta(0),
        tuple((row.event, row.version) for row in rows),
        champion["version"] if champion else None,
        {row.version: str(row.evidence.get("digest")) for row in rows if row.event == "registered"},
        _find_faults(connection, registry, state) if registry else {},
        _read_aliases(registry, name) if registry else None,
        None if servers is None else tuple(sorted(version for case, version in servers if case == name)),
        compare_logs(connection, name, now),
        _unchecked_time(connection, name, now),
    )


def _unchecked_time(connection: Connection, use_case: str, now: datetime) -> timedelta:
    declared = catalog().use_cases.get(use_case)
    silences = find_silences(connection, {use_case: declared} if declared else {}, now)
    return now - silences[use_case].since if silences else timedelta(0)


def _find_faults(connection: Connection, registry: Registry, state: ReleaseState) -> dict[int, str]:
    faults = {}
    for version in sorted(named_versions(state)):
        try:
            trusted = settings().trusted_keys
            certificate = verify_version(registry, state.use_case, version, trusted=trusted)
            require_registered(connection, state.use_case, version, certificate.model_digest)
            folder = paths.model_folder(state.use_case, version)
            if folder.exists():
                verify_certificate(folder, trusted, use_case=state.use_case)
        except AirworthyError as error:
            faults[version] = str(error)
    return faults


def _read_aliases(registry: Registry, name: str) -> dict[str, int]:
    aliases: dict[str, int] = {}
    for version in registry.search_versions(name):
        aliases |= dict.fromkeys(version["aliases"], version["version"])
    return aliases


def _local_servers() -> list[tuple[str, int]] | None:
    """Return use case and version of the running model servers; None if they run on another machine."""
    if not (settings().root / "haproxy").exists():
        return None
    try:
        return [(server.use_case, server.version) for server, _ in find_servers()]
    except psutil.Error:
        return None
