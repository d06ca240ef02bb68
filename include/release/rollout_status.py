"""Status of a rollout step: is the desired state live, and how does the challenger compare so far."""

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
class RolloutStatus:
    """
    What the controller reported of one version.

    `live` is True if the controller runs the desired state, `reason` says why not, and `address` is host and
    port of the version's model server.
    """

    live: bool
    reason: str
    address: str | None


def database_time(engine: Engine) -> datetime:
    """Return the time of the database's clock, which also stamps the inference log and the ledger."""
    with engine.connect() as connection:
        moment: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return moment


def read_rollout_status(connection: Connection, use_case: str, version: int) -> RolloutStatus:
    """Return whether the newest generation of the desired state is live, and the server of `version`."""
    generation = rollout.read_state(connection, use_case).generation
    row = connection.execute(select(live_state).where(live_state.c.use_case == use_case)).mappings().first()
    if row is None or row["generation"] != generation:
        reason = f"the controller has not reported generation {generation} of the desired state yet"
        return RolloutStatus(False, reason, None)
    server = row["detail"].get("servers", {}).get(str(version), {})
    reason = str(server.get("reason") or row["detail"].get("reason") or "")
    return RolloutStatus(bool(row["ready"]), reason, server.get("address"))


def analyse_stage(
    connection: Connection, use_case: UseCase, version: int, *, since: datetime, stage: RolloutStage
) -> Analysis:
    """Compare the challenger `version` with the champion by the requests logged from `since` on."""
    champion = rollout.read_state(connection, use_case.name).champion
    observation = analysis.observe(connection, use_case, champion, version, since=since)
    return analysis.analyse(observation, use_case.rollout, stage=stage)
