"""Dependents: what still needs a table or a model that is to be dropped or retired."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from sqlalchemy import func, select

from include.data.snapshots.records import reads_any
from include.database.tables import desired_state, inference_log, snapshot
from include.governance import usage
from include.release import rollout

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from include.catalog import Catalog

Kind = Literal["feature view", "label", "use case", "served model", "callers", "rollout"]

CALLER_WINDOW = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Dependent:
    """Something that needs a table or model: its kind, its name, and why."""

    kind: Kind
    name: str
    reason: str

    def __str__(self) -> str:
        """Return the dependent as a line of text."""
        return f"{self.kind} {self.name}: {self.reason}"


def table_dependents(connection: Connection, declared: Catalog, name: str) -> list[Dependent]:
    """Return what needs the table of a dataset or feature view, whether it is declared or not."""
    dependents = [
        Dependent("feature view", view, "it is built from it")
        for view in usage.views_of_dataset(declared, name)
    ]
    for use_case in usage.labels_of_dataset(declared, name):
        dependents.append(Dependent("label", use_case, "it has the labels of this use case"))
    for use_case in usage.use_cases_of_view(declared, name):
        dependents.append(Dependent("use case", use_case, "it reads features of it"))
    reason = "its champion was trained on it: monitoring, explanation and reproduction read it"
    dependents += [Dependent("served model", model, reason) for model in _served_models(connection, name)]
    return dependents


def model_dependents(connection: Connection, name: str) -> list[Dependent]:
    """Return who needs a model: callers of the last 24 hours, and a rollout in progress."""
    dependents = []
    log = inference_log.c
    is_recent = log.received_at > func.clock_timestamp() - CALLER_WINDOW
    query = select(func.count(), func.max(log.received_at)).where(
        log.use_case == name, log.role.in_(("champion", "challenger")), is_recent
    )
    requests, last = connection.execute(query).one()
    if requests:
        reason = f"{requests:,} requests in the last 24 hours, the last at {last:%Y-%m-%d %H:%M:%S %Z}"
        dependents.append(Dependent("callers", name, reason))
    state = rollout.read_state(connection, name)
    if state.challenger is not None:
        reason = f"version {state.challenger} is being rolled out by {state.owner}"
        dependents.append(Dependent("rollout", name, reason))
    return dependents


def snapshots_of_table(connection: Connection, name: str) -> list[str]:
    """Return the recorded snapshots that name a table: use case, digest and day."""
    query = (
        select(snapshot.c.use_case, snapshot.c.digest, snapshot.c.as_of)
        .where(reads_any([name]))
        .order_by(snapshot.c.use_case, snapshot.c.as_of)
    )
    return [f"{row.use_case} {row.digest[:12]} as of {row.as_of}" for row in connection.execute(query)]


def _served_models(connection: Connection, table: str) -> list[str]:
    query = (
        select(snapshot.c.use_case)
        .join(desired_state, desired_state.c.use_case == snapshot.c.use_case)
        .where(desired_state.c.champion.is_not(None))
        .where(reads_any([table]))
        .distinct()
        .order_by(snapshot.c.use_case)
    )
    return [str(name) for name in connection.scalars(query)]
