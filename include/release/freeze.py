"""The freeze of releases: after repeated rollbacks, by a burnt error budget, or by a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Integer, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from include.catalog import catalog
from include.database.ledger import Entry, append
from include.database.tables import desired_state, ledger

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

# In the evidence of a freeze that ends by itself, and of its end.
CAUSE = "cause"
ERROR_BUDGET = "error_budget"


def freeze_releases(
    connection: Connection, use_case: str, *, actor: str, reason: str, cause: str | None = None
) -> bool:
    """
    Freeze the releases of a use case.

    A person lifts the freeze, or, with a `cause`, `thaw_releases` of the same cause. Whoever freezes again
    without a cause takes such a freeze over.

    Returns
    -------
    bool
        False, without any change, if they are frozen already.
    """
    connection.execute(insert(desired_state).values(use_case=use_case).on_conflict_do_nothing())
    frozen = _lock_frozen(connection, use_case)
    if frozen is not None and (cause is not None or freeze_cause(connection, use_case) is None):
        return False
    _set_frozen(connection, use_case, reason)
    evidence = {CAUSE: cause} if cause else {}
    append(connection, Entry(use_case, "frozen", actor, reason, evidence=evidence))
    return True


def thaw_releases(connection: Connection, use_case: str, *, actor: str, reason: str, cause: str) -> bool:
    """Lift a freeze of this cause; return False, without any change, if there is none."""
    frozen = _lock_frozen(connection, use_case)
    if frozen is None or freeze_cause(connection, use_case) != cause:
        return False
    _set_frozen(connection, use_case, None)
    append(connection, Entry(use_case, "lifted", actor, reason, evidence={"frozen": frozen, CAUSE: cause}))
    return True


def lifted_at(connection: Connection, use_case: str) -> datetime | None:
    """Return when a person lifted a freeze last; None if none did."""
    query = select(func.max(ledger.c.at)).where(
        ledger.c.use_case == use_case, ledger.c.event == "lifted", ~ledger.c.evidence.has_key(CAUSE)
    )
    moment: datetime | None = connection.scalar(query)
    return moment


def _lock_frozen(connection: Connection, use_case: str) -> str | None:
    query = select(desired_state.c.frozen).where(desired_state.c.use_case == use_case).with_for_update()
    return connection.scalar(query)


def freeze_cause(connection: Connection, use_case: str) -> str | None:
    """Return the cause of the newest freeze; None if there is none, or a person has to lift it."""
    query = (
        select(ledger.c.evidence[CAUSE].astext)
        .where(ledger.c.use_case == use_case, ledger.c.event == "frozen")
        .order_by(ledger.c.id.desc())
        .limit(1)
    )
    return connection.scalar(query)


def _set_frozen(connection: Connection, use_case: str, reason: str | None) -> None:
    changes = {"frozen": reason, "updated_at": func.clock_timestamp()}
    connection.execute(update(desired_state).where(desired_state.c.use_case == use_case).values(changes))


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
