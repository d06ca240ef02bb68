"""Tasks that failed for good and runs that take too long: recorded in the ledger when it happens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import select

from include.database.ledger import Entry, append
from include.database.tables import ledger

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

FailureKind = Literal["failed", "late_data", "long_run"]

# What did not succeed since is no news any more.
MAX_AGE = timedelta(days=30)
# The name of what belongs to no declaration.
PLATFORM = "platform"


@dataclass(frozen=True, slots=True)
class RunFailure:
    """
    A task that failed after its last retry, or a run that takes too long.

    Attributes
    ----------
    name : str
        The use case, dataset or feature view of the DAG, or `platform`.
    kind : str
        `failed`, `late_data` if a partition did not land in time, or `long_run`.
    task_id : str
        Empty for a run.
    map_index : int
        -1 for a task that is not mapped.
    reason : str
        The end of what the task said.
    successes : int or None
        How often the task had succeeded in any run until then; None if it is not known.
    """

    name: str
    kind: FailureKind
    dag_id: str
    run_id: str
    task_id: str = ""
    map_index: int = -1
    reason: str = ""
    runbook: str = ""
    link: str = ""
    successes: int | None = None

    @property
    def subject(self) -> str:
        """What failed: `<dag>.<task>`, or the DAG of a run."""
        return f"{self.dag_id}.{self.task_id}" if self.task_id else self.dag_id


def record_failure(connection: Connection, failure: RunFailure, *, actor: str) -> bool:
    """
    Write a failure into the ledger, unless the same one is the newest there and nothing succeeded since.

    Returns
    -------
    bool
        Whether it was written.
    """
    query = (
        select(ledger.c.evidence)
        .where(ledger.c.use_case == failure.name, ledger.c.event == "failed")
        .where(ledger.c.evidence["subject"].astext == failure.subject)
        .where(ledger.c.evidence["map_index"].as_integer() == failure.map_index)
        .order_by(ledger.c.id.desc())
        .limit(1)
    )
    newest: dict[str, Any] | None = connection.scalar(query)
    if newest and failure.successes is not None and newest["successes"] == failure.successes:
        return False
    evidence = {
        "kind": failure.kind,
        "subject": failure.subject,
        "dag": failure.dag_id,
        "run": failure.run_id,
        "task": failure.task_id,
        "map_index": failure.map_index,
        "runbook": failure.runbook,
        "link": failure.link,
        "successes": failure.successes,
    }
    append(connection, Entry(failure.name, "failed", actor, failure.reason, evidence=evidence))
    return True


def recent_failures(connection: Connection, now: datetime) -> list[RunFailure]:
    """Return the newest failure of each task, and each long run, of the last 30 days."""
    query = (
        select(ledger.c.use_case, ledger.c.reason, ledger.c.evidence)
        .where(ledger.c.event == "failed", ledger.c.at > now - MAX_AGE)
        .order_by(ledger.c.id)
    )
    newest: dict[tuple[str, str, int, str], RunFailure] = {}
    for name, reason, evidence in connection.execute(query):
        failure = RunFailure(
            name=name,
            kind=evidence["kind"],
            dag_id=evidence["dag"],
            run_id=evidence["run"],
            task_id=evidence["task"],
            map_index=evidence["map_index"],
            reason=reason,
            runbook=evidence["runbook"],
            link=evidence["link"],
            successes=evidence["successes"],
        )
        run = failure.run_id if failure.kind == "long_run" else ""
        newest[name, failure.subject, failure.map_index, run] = failure
    return list(newest.values())
