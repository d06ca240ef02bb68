"""Whether the monitoring of a champion has stopped: it was due, and gave no result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from include.database.tables import desired_state, ledger, monitoring_result

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from include.declarations import UseCase


@dataclass(frozen=True, slots=True)
class Silence:
    """
    A monitoring that has stopped.

    Attributes
    ----------
    checked_at : datetime or None
        Time of the last check of drift and quality.
    since : datetime
        The same, or the promotion of the champion if that was later.
    """

    checked_at: datetime | None
    since: datetime


def find_silences(
    connection: Connection, use_cases: Mapping[str, UseCase], now: datetime
) -> dict[str, Silence]:
    """Return the use cases with a champion whose monitoring was due after its last check, by name."""
    state = desired_state.c
    checked = (
        select(func.max(monitoring_result.c.at))
        .where(monitoring_result.c.use_case == state.use_case, monitoring_result.c.figures.has_key("drift"))
        .scalar_subquery()
    )
    promoted = (
        select(func.max(ledger.c.at))
        .where(ledger.c.use_case == state.use_case, ledger.c.event.in_(("promoted", "rolled_back")))
        .scalar_subquery()
    )
    query = select(state.use_case, checked.label("checked_at"), promoted.label("promoted_at")).where(
        state.champion.is_not(None), ~state.retired, state.use_case.in_(use_cases)
    )
    silences = {}
    for name, checked_at, promoted_at in connection.execute(query):
        due = use_cases[name].schedules.last_monitoring(name, now)
        moments = [moment for moment in (checked_at, promoted_at) if moment is not None]
        if due is not None and moments and max(moments) < due:
            silences[name] = Silence(checked_at, max(moments))
    return silences
