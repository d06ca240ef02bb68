"""The freeze of releases: after repeated rollbacks, by a burnt error budget, or by a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Integer, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from include.catalog import catalog
from include.database.ledger import Entry, append
from include.database.tables import desired_state, ledger

if TYPE_CHECKING:
    from sqlalchemy import Connection


def freeze_releases(connection: Connection, use_case: str, *, actor: str, reason: str) -> bool:
    """
    Freeze the releases of a use case until a person lifts the freeze.

    Returns
    -------
    bool
        False, without any change, if they are frozen already.
    """
    connection.execute(insert(desired_state).values(use_case=use_case).on_conflict_do_nothing())
    is_open = (desired_state.c.use_case == use_case) & desired_state.c.frozen.is_(None)
    changes = {"frozen": reason, "updated_at": func.clock_timestamp()}
    if not connection.execute(update(desired_state).where(is_open).values(changes)).rowcount:
        return False
    append(connection, Entry(use_case, "frozen", actor, reason))
    return True


def freeze_after_rollbacks(connection: Connection, use_case: str) -> bool:
    """
    Freeze the releases of a use case that was rolled back too often; return whether this froze them.

    Its `rollout` declares how often, and within which time. Counted are rollbacks of a champion, and
    challengers with traffic that were removed without a promotion, since a freeze was lifted last.
    """
    declared = catalog().use_cases.get(use_case)
    if declared is None:
        return False
    policy = declared.rollout
    lifted = select(func.coalesce(func.max(ledger.c.id), 0)).where(
        ledger.c.use_case == use_case, ledger.c.event == "lifted"
    )
    had_traffic = (ledger.c.event == "restored") & (ledger.c.evidence["weight"].astext.cast(Integer) > 0)
    # A rollout whose run was lost says nothing about the challenger; its entry names the owner.
    was_lost = ledger.c.evidence.has_key("owner")
    query = select(func.count()).where(
        ledger.c.use_case == use_case,
        ledger.c.id > lifted.scalar_subquery(),
        ledger.c.at > func.clock_timestamp() - policy.freeze_window,
        or_(ledger.c.event == "rolled_back", had_traffic & ~was_lost),
    )
    count = connection.scalar(query) or 0
    if count < policy.freeze_after:
        return False
    reason = f"{count} rollbacks within {policy.freeze_window}"
    return freeze_releases(connection, use_case, actor="rollout", reason=reason)
