"""How far a step of a rollout has come: is it live, and what can be said of the challenger by now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from include.database.tables import live_state
from include.release import analysis, rollout

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Engine

    from include.declarations import UseCase
    from include.release.analysis import Analysis, RolloutStage


@dataclass(frozen=True, slots=True)
class Progress:
    """`live`: the controller runs what is desired; `reason`: why not; `address`: of the version's server."""

    live: bool
    reason: str
    address: str | None


def now(engine: Engine) -> datetime:
    """Return the database's clock, which stamps everything that is compared with it."""
    with engine.connect() as connection:
        moment: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return moment


def progress(connection: Connection, use_case: str, version: int) -> Progress:
    """Return whether what is desired is live, and how the server of `version` stands."""
    generation = rollout.read_state(connection, use_case).generation
    row = connection.execute(select(live_state).where(live_state.c.use_case == use_case)).mappings().first()
    if row is None or row["generation"] != generation:
        return Progress(False, "the controller has not followed yet", None)
    server = row["detail"].get("servers", {}).get(str(version), {})
    reason = str(server.get("reason") or row["detail"].get("reason") or "")
    return Progress(bool(row["ready"]), reason, server.get("address"))


def analyse_stage(
    connection: Connection, use_case: UseCase, version: int, *, since: datetime, stage: RolloutStage
) -> Analysis:
    """Return the judgement of the challenger by what was logged since `since`."""
    champion = rollout.read_state(connection, use_case.name).champion
    observed = analysis.observe(connection, use_case, champion, version, since=since)
    return analysis.analyse(observed, use_case.rollout, stage=stage)
