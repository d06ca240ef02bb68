"""Removal: tables are archived or deleted, models are not served any more, and the ledger says why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from include.data.lake.table_files import archive_table, delete_table, list_tables
from include.database import ledger
from include.errors import ConflictError, DataError, ReleaseError
from include.governance.dependents import (
    Dependent,
    model_dependents,
    snapshots_of_table,
    table_dependents,
)
from include.release import rollout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Engine

    from include.catalog import Catalog
    from include.data.lake.delta_tables import Lake
    from include.modeling.registry.registry import Registry

TableKind = Literal["dataset", "feature view", "predictions"]
ALIASES: dict[str, None] = {"champion": None, "challenger": None, "previous": None}
MIN_REASON_LENGTH = 3


@dataclass(frozen=True, slots=True)
class Authorisation:
    """
    Who removes something and why.

    `delete` deletes tables instead of archiving them; `force` removes what others still need.
    """

    actor: str
    reason: str
    delete: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True)
class TableRemoval:
    """
    Plan to drop the table of a dataset or feature view.

    Attributes
    ----------
    tables : tuple of str
        Tables that are removed: the table itself and its quarantine.
    dependents : tuple of Dependent
        What needs it.
    snapshots : tuple of str
        Recorded snapshots that cannot be read afterwards.
    declared : bool
        Whether a declaration would publish it again.
    """

    kind: TableKind
    name: str
    tables: tuple[str, ...]
    dependents: tuple[Dependent, ...]
    snapshots: tuple[str, ...]
    declared: bool


@dataclass(frozen=True, slots=True)
class ModelRetirement:
    """
    Plan to retire a model.

    Attributes
    ----------
    champion, challenger : int or None
        Versions that stop being served.
    versions : int
        Versions in MLflow, which stay with their certificates.
    dependents : tuple of Dependent
        Who needs it.
    declared : bool
        Whether its DAGs exist.
    retired : bool
        Whether it is retired already.
    predictions : str or None
        Table of its batch predictions, if there is one.
    """

    name: str
    champion: int | None
    challenger: int | None
    versions: int
    dependents: tuple[Dependent, ...]
    declared: bool
    retired: bool
    predictions: str | None


def plan_table_removal(
    connection: Connection, lake: Lake, declared: Catalog, kind: TableKind, name: str
) -> TableRemoval:
    """
    Return what dropping a table would remove, and what depends on it.

    Raises
    ------
    DataError
        If the lake has no such table, or it belongs to a declaration of another kind.
    """
    _require_kind(declared, kind, name)
    existing = list_tables(lake)
    tables = [table for table in (name, f"{name}_quarantine") if table in existing]
    if not tables:
        raise DataError(
            f"There is no table {name} in the lake {lake.uri}: nothing can be dropped. "
            f"It has {', '.join(existing) or 'no tables'}."
        )
    return TableRemoval(
        kind=kind,
        name=name,
        tables=tuple(tables),
        dependents=tuple(table_dependents(connection, declared, name)),
        snapshots=tuple(snapshots_of_table(connection, name)),
        declared=name in {*declared.datasets, *declared.feature_views},
    )


def drop_tables(
    engine: Engine, lake: Lake, plan: TableRemoval, authorisation: Authorisation
) -> dict[str, str]:
    """
    Write the ledger, then archive or delete the tables of a plan; of a view also its online features.

    Returns
    -------
    dict of str to str
        Archived path by table; an empty path for a deleted table.

    Raises
    ------
    ConflictError
        If something depends on it, unless forced.
    DataError
        Without a reason.
    """
    _require_allowed(plan.name, plan.dependents, authorisation)
    at = datetime.now(UTC)
    evidence = asdict(plan) | {"deleted": authorisation.delete, "forced": authorisation.force}
    action = "deleted" if authorisation.delete else f"archived at {at:%Y%m%dT%H%M%S}"
    reason = f"{', '.join(plan.tables)} {action}: {authorisation.reason}"
    with engine.begin() as connection:
        ledger.append(
            connection, ledger.Entry(plan.name, "dropped", authorisation.actor, reason, evidence=evidence)
        )
    paths = {}
    for table in plan.tables:
        if authorisation.delete:
            delete_table(lake, table)
        paths[table] = "" if authorisation.delete else archive_table(lake, table, at)
    if plan.kind == "feature view":
        # Feast takes seconds to import.
        from include.data.feature_store.removal import remove_view

        remove_view(plan.name, engine.url)
    return paths


def plan_retirement(
    connection: Connection, registry: Registry, lake: Lake, declared: Catalog, name: str
) -> ModelRetirement:
    """
    Return what retiring a model would stop, and who needs it; its declaration may be deleted.

    Raises
    ------
    ReleaseError
        If there is no model of that name: neither declared, nor deployed, nor registered.
    """
    state = rollout.read_state(connection, name)
    versions = registry.search_versions(name)
    is_declared = name in declared.use_cases
    predictions = f"{name}_predictions"
    if not (is_declared or versions or state.generation):
        raise ReleaseError(
            f"There is no model {name}: it is not declared, was never deployed, and has no version in "
            "MLflow. See `airworthy models list`."
        )
    return ModelRetirement(
        name=name,
        champion=state.champion,
        challenger=state.challenger,
        versions=len(versions),
        dependents=() if state.retired else tuple(model_dependents(connection, name)),
        declared=is_declared,
        retired=state.retired,
        predictions=predictions if predictions in list_tables(lake) else None,
    )


def retire_model(
    engine: Engine, registry: Registry, plan: ModelRetirement, authorisation: Authorisation
) -> None:
    """
    Retire a model: no version is served or rolled out, and its aliases in MLflow are removed.

    A repetition completes what an interrupted call has left.

    Raises
    ------
    ConflictError
        If it has callers or a rollout, unless forced.
    DataError
        Without a reason.
    ServiceUnavailable
        If MLflow does not answer; the model is retired nevertheless, only its aliases stay.
    """
    _require_allowed(plan.name, plan.dependents, authorisation)
    evidence = {
        "dependents": [asdict(dependent) for dependent in plan.dependents],
        "forced": authorisation.force,
    }
    rollout.retire(
        engine, plan.name, actor=authorisation.actor, reason=authorisation.reason, evidence=evidence
    )
    if plan.versions:
        registry.set_aliases(plan.name, **ALIASES)


def _require_allowed(name: str, dependents: Sequence[Dependent], authorisation: Authorisation) -> None:
    if len(authorisation.reason.strip()) < MIN_REASON_LENGTH:
        raise DataError(f"{name}: say in --reason why; the ledger keeps it.")
    if dependents and not authorisation.force:
        listed = "; ".join(map(str, dependents))
        raise ConflictError(
            f"{name} is still needed: {listed}. Remove what depends on it first, or repeat with --force."
        )


def _require_kind(declared: Catalog, kind: TableKind, name: str) -> None:
    kinds = {"dataset": name in declared.datasets, "feature view": name in declared.feature_views}
    others = [other for other, is_declared in kinds.items() if is_declared and other != kind]
    if others:
        command = "features" if others[0] == "feature view" else "datasets"
        raise DataError(f"{name} is a {others[0]}: use `airworthy {command} drop {name}`.")
