"""One decision per monitoring run: retrain, alert, freeze, roll back, or nothing; each with its evidence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from include.database.ledger import Entry, append
from include.database.tables import monitoring_result
from include.monitoring.figures import jsonable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Engine

    from include.declarations import RetrainPolicy

Action = Literal["retrain", "alert", "freeze", "roll_back", "nothing"]

MONTH = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Signals:
    """What this run found out about the champion, in the words of the measurements' own outcomes."""

    version: int
    drift: Literal["drift", "no_drift", "inconclusive"]
    quality: Literal["good", "lost", "inconclusive"]
    service: Literal["met", "broken", "inconclusive"]
    new_labelled_rows: int  # since the champion's snapshot
    promoted_at: datetime | None = None
    previous: int | None = None  # the champion to go back to

    @property
    def fired(self) -> tuple[str, ...]:
        """The signals that ask for a better model."""
        found = {"drift": self.drift == "drift", "quality": self.quality == "lost"}
        return tuple(name for name, bad in found.items() if bad)

    @property
    def unobservable(self) -> bool:
        """Whether neither inputs nor labels could be judged."""
        return self.drift == "inconclusive" and self.quality == "inconclusive"


@dataclass(frozen=True, slots=True)
class PastCheck:
    """An earlier run: what it found, and what was decided."""

    at: datetime
    version: int
    action: Action
    fired: tuple[str, ...] = ()
    unobservable: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and why."""

    action: Action
    reason: str
    evidence: dict[str, Any]


def decide(signals: Signals, policy: RetrainPolicy, history: Sequence[PastCheck], now: datetime) -> Decision:
    """
    Return the one decision of this run; `history` are the earlier runs of the last month, in any order.

    Service first: a broken promise soon after a promotion goes back, and later it freezes releases. Then
    the model: a signal must fire in `k` of the last `n` checks of this version since its last retraining.
    A retraining is held back by the cool-down, by the month's budget, and where it would learn nothing new.
    """
    recent = signals.promoted_at is not None and now - signals.promoted_at < policy.cooldown
    checks = _since_retraining(signals, history)[: policy.n - 1]
    counts = {
        name: (name in signals.fired) + sum(name in check.fired for check in checks)
        for name in ("drift", "quality")
    }
    evidence: dict[str, Any] = jsonable(signals) | {
        "fired": list(signals.fired), "unobservable": signals.unobservable, "counts": counts,
        "checks": len(checks) + 1,
    }  # fmt: skip

    def decision(action: Action, reason: str) -> Decision:
        return Decision(action, reason, evidence)

    if signals.service == "broken" and recent and signals.previous is not None:
        return decision(
            "roll_back", f"the promise to callers broke soon after version {signals.version} came"
        )
    if signals.service == "broken":
        return decision("freeze", "the promise to callers is broken: no release until the budget recovers")
    reached = [f"{name} in {count} of {len(checks) + 1} checks" for name, count in counts.items()
               if count >= policy.k and name in signals.fired]  # fmt: skip
    if reached:
        return decision(*_retrain(signals, policy, history, now, ", ".join(reached)))
    if signals.fired:
        return decision(
            "nothing", f"{' and '.join(signals.fired)} fired, {policy.k} of {policy.n} are needed"
        )
    if (
        signals.unobservable
        and signals.unobservable + sum(check.unobservable for check in checks) >= policy.k
    ):
        return decision("alert", "too few rows and labels to judge anything: monitoring is blind")
    return decision("nothing", "no signal fired")


def _retrain(
    signals: Signals, policy: RetrainPolicy, history: Sequence[PastCheck], now: datetime, why: str
) -> tuple[Action, str]:
    retrained = sorted(check.at for check in history if check.action == "retrain" and check.at > now - MONTH)
    if retrained and now - retrained[-1] < policy.cooldown:
        return (
            "nothing",
            f"{why}; retrained at {retrained[-1]:%Y-%m-%d %H:%M}, cooling down {policy.cooldown}",
        )
    if signals.new_labelled_rows <= 0:
        return "alert", f"{why}; retraining would not help: no labelled row since the champion's snapshot"
    if len(retrained) >= policy.budget_per_month:
        return "alert", f"{why}; this month's {policy.budget_per_month} retrainings are used up"
    return "retrain", why


def _since_retraining(signals: Signals, history: Sequence[PastCheck]) -> list[PastCheck]:
    """Return the checks of this version since its last retraining, newest first."""
    found: list[PastCheck] = []
    for check in sorted(history, key=lambda check: check.at, reverse=True):
        if check.action == "retrain" or check.version != signals.version:
            break
        found.append(check)
    return found


def past_checks(connection: Connection, use_case: str, *, now: datetime) -> list[PastCheck]:
    """Return the recorded checks of the last month, newest first."""
    table = monitoring_result
    query = (
        select(table.c.at, table.c.version, table.c.decision, table.c.figures)
        .where(table.c.use_case == use_case, table.c.at > now - MONTH, table.c.at <= now)
        .order_by(table.c.id.desc())
    )
    return [
        PastCheck(
            row.at,
            row.version,
            row.decision,
            tuple(row.figures["decision"]["evidence"]["fired"]),
            row.figures["decision"]["evidence"]["unobservable"],
        )
        for row in connection.execute(query)
    ]


def record_check(
    engine: Engine,
    use_case: str,
    decision: Decision,
    *,
    run: str,
    window: tuple[datetime, datetime],
    figures: Mapping[str, Any],
    actor: str = "monitoring",
) -> Decision:
    """
    Write the run's result and its ledger entry in one transaction, once per run.

    A run that was killed and repeated may see other figures: what was decided first counts, and is returned.
    """
    key = f"{use_case}/{run}"
    values = {
        "use_case": use_case, "run": key, "version": decision.evidence["version"], "window_start": window[0],
        "window_end": window[1], "decision": decision.action,
        "figures": jsonable(figures) | {"decision": jsonable(decision)},
    }  # fmt: skip
    entry = Entry(
        use_case, "decided", actor, f"{decision.action}: {decision.reason}", decision.evidence["version"],
        decision.evidence, f"decided/{key}",
    )  # fmt: skip
    with engine.begin() as connection:
        statement = insert(monitoring_result).values(values).on_conflict_do_nothing(index_elements=["run"])
        if connection.execute(statement).rowcount:
            append(connection, entry)
            return decision
        written = select(monitoring_result.c.figures["decision"]).where(monitoring_result.c.run == key)
        return Decision(**connection.execute(written).scalar_one())
