"""How far a step of a rollout has come: is it live, and how many requests has the challenger seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from include.schema import desired_state, inference_log, live_state

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Engine


@dataclass(frozen=True, slots=True)
class Progress:
    """`live`: the controller runs what is desired; `reason`: why not; `address`: of the version's server."""

    live: bool
    reason: str
    address: str | None
    requests: int


def now(engine: Engine) -> datetime:
    """Return the database's clock, which stamps everything that is compared with it."""
    with engine.connect() as connection:
        moment: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return moment


def progress(engine: Engine, use_case: str, version: int, *, since: datetime) -> Progress:
    """Return how the rollout of `version` stands; requests are counted from `since` on."""
    desired, live = desired_state, live_state
    state = (
        select(desired.c.generation, live.c.generation.label("reported"), live.c.ready, live.c.detail)
        .outerjoin(live, live.c.use_case == desired.c.use_case)
        .where(desired.c.use_case == use_case)
    )
    seen = select(func.count()).where(
        inference_log.c.use_case == use_case,
        inference_log.c.version == version,
        inference_log.c.received_at >= since,
    )
    with engine.connect() as connection:
        row = connection.execute(state).mappings().one()
        requests = connection.execute(seen).scalar_one()
    detail = row["detail"] or {}
    current = row["reported"] == row["generation"]
    server = detail.get("servers", {}).get(str(version), {})
    reason = (
        str(server.get("reason") or detail.get("reason") or "") if current else "the controller is behind"
    )
    return Progress(bool(current and row["ready"]), reason, server.get("address"), requests)
