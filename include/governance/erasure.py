"""Erasure of an entity (right to be forgotten) from lake, online store and inference log."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select

from include.data.lake.commit_log import list_files
from include.data.lake.erasure import Entity, TableErasure, erase_rows, find_rows, has_column
from include.data.lake.staged_frames import delete_frames, find_frames
from include.data.lake.table_files import ARCHIVE, list_archives, list_tables
from include.data.snapshots.records import reads_any
from include.database import ledger
from include.database.tables import snapshot
from include.errors import DataError, PartitionMissing, ServiceUnavailable
from include.governance import logged_requests, usage
from include.governance.landed_files import find_landed_files
from include.pseudonyms import pseudonym

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from typing import Any

    from sqlalchemy import Connection, Engine

    from include.catalog import Catalog
    from include.data.lake.delta_tables import Lake
    from include.data.sources.files import Landing
    from include.declarations import Column, Dataset, FeatureView
    from include.modeling.registry.registry import Registry

    # Use case, digest and day.
    RecordedSnapshot = tuple[str, str, date]

MIN_REASON_LENGTH = 3
# What holds data and is not changed by an erasure.
UNTOUCHED = (
    "sources, that is landed files, databases and services of other teams: remove the entity there first, or "
    "the next ingestion brings it back",
    "models that were trained on its rows, and the sample rows in their packages: train and promote new "
    "versions, and delete the old ones in MLflow",
    "reports, logs and XComs of Airflow: they show no value of a column that is declared personal",
    "the ledger, whose entries cannot be changed: it names rejected rows by an id or a pseudonym",
    "values that identify the person in other columns and tables: erase by those columns, too",
    "backups of the database, the lake and the landing folder, and copies that others made",
)


@dataclass(frozen=True, slots=True)
class OnlineErasure:
    """Keys of the entity in the online store of a view."""

    feature_view: str
    keys: int


@dataclass(frozen=True, slots=True)
class ErasurePlan:
    """
    What an erasure changes.

    Attributes
    ----------
    column : str
        Column of the entity.
    digest : str
        Pseudonym of its value, which stands for it in the ledger.
    tables : tuple of TableErasure
        Tables with its rows; those of an archive with the path of the archive.
    online : tuple of str
        Views whose online features are searched for it.
    requests : int
        Logged requests with it.
    staged : tuple of str
        Staged frames that hold it; they are deleted, and their runs have to start again.
    snapshots : tuple of str
        Recorded snapshots that cannot be read afterwards: they read a file with a row of the entity.
    models : tuple of str or None
        Model versions that were trained on these snapshots; None if MLflow does not answer.
    landed : tuple of str
        Landed files that still contain its value.
    """

    column: str
    digest: str
    tables: tuple[TableErasure, ...]
    online: tuple[str, ...]
    requests: int
    staged: tuple[str, ...]
    snapshots: tuple[str, ...]
    models: tuple[str, ...] | None = ()
    landed: tuple[str, ...] = ()
    untouched: tuple[str, ...] = UNTOUCHED


@dataclass(frozen=True)
class EntityStores:
    """Everything that may hold rows of an entity; what is None is not searched."""

    declared: Catalog
    lake: Lake
    engine: Engine
    pseudonym_key: str
    registry: Registry | None = None
    landing: Landing | None = None


def plan_erasure(stores: EntityStores, entity: Entity) -> ErasurePlan:
    """
    Return what erasing an entity would change; nothing is changed.

    Raises
    ------
    DataError
        If no table has the column.
    """
    _require_column(stores, entity.column)
    entity = _with_pseudonym(stores, entity)
    erasures: list[TableErasure] = []
    for lake in (stores.lake, *list_archives(stores.lake)):
        erasures += _find_in(lake, stores.lake, entity)
    use_cases = _use_cases_of_entity(stores.declared, entity.column)
    with stores.engine.connect() as connection:
        requests = logged_requests.count_requests(
            connection, entity.column, entity.value, use_cases=use_cases, key=stores.pseudonym_key
        )
        unreadable = list(_unreadable_snapshots(connection, stores.lake, erasures))
    return ErasurePlan(
        column=entity.column,
        digest=pseudonym(entity.value, stores.pseudonym_key),
        tables=tuple(erasures),
        online=tuple(_online_views(stores.declared, entity.column)),
        requests=requests,
        staged=tuple(find_frames(stores.lake, entity)),
        snapshots=tuple(f"{name} {digest[:12]} as of {as_of}" for name, digest, as_of in unreadable),
        models=_trained_models(stores.registry, unreadable),
        landed=_landed_files(stores, entity),
    )


def erase_entity(
    stores: EntityStores, entity: Entity, plan: ErasurePlan, *, actor: str, reason: str
) -> list[OnlineErasure]:
    """
    Write the ledger without the value, then erase the entity everywhere; a repetition completes it.

    Raises
    ------
    DataError
        Without a reason.
    ServiceUnavailable
        If a store is away, or others write the same partitions.
    """
    if len(reason.strip()) < MIN_REASON_LENGTH:
        raise DataError("Say in --reason why the entity is erased; the ledger keeps it.")
    evidence = asdict(plan) | {"untouched": len(plan.untouched)}
    text = f"an entity of {entity.column} erased: {reason}"
    with stores.engine.begin() as connection:
        ledger.append(connection, ledger.Entry(entity.column, "erased", actor, text, evidence=evidence))
    entity = _with_pseudonym(stores, entity)
    online = _erase_online(stores, entity)
    for erasure in plan.tables:
        lake, table = _resolve(stores.lake, erasure.table)
        erase_rows(lake, table, entity)
    delete_frames(stores.lake, plan.staged)
    use_cases = _use_cases_of_entity(stores.declared, entity.column)
    logged_requests.erase_requests(
        stores.engine, entity.column, entity.value, use_cases=use_cases, key=stores.pseudonym_key
    )
    return online


def _with_pseudonym(stores: EntityStores, entity: Entity) -> Entity:
    """Return the entity as it is named in exported logs, too."""
    return replace(entity, pseudonym=pseudonym(entity.value, stores.pseudonym_key))


def _find_in(lake: Lake, main: Lake, entity: Entity) -> Iterator[TableErasure]:
    prefix = lake.uri.removeprefix(main.uri.rstrip("/")).strip("/")
    for table in list_tables(lake):
        erasure = find_rows(lake, table, entity)
        if erasure is not None:
            yield replace(erasure, table=f"{prefix}/{table}" if prefix else table)


def _resolve(lake: Lake, path: str) -> tuple[Lake, str]:
    """Return the lake and the table of a path such as `flights`, or `_archive/<moment>/flights`."""
    folder, _, table = path.rpartition("/")
    return (replace(lake, uri=f"{lake.uri.rstrip('/')}/{folder}") if folder else lake), table


def _erase_online(stores: EntityStores, entity: Entity) -> list[OnlineErasure]:
    erased = []
    for name in _online_views(stores.declared, entity.column):
        # Feast takes seconds to import.
        from include.data.feature_store.removal import remove_keys

        view = stores.declared.feature_views[name]
        keys = remove_keys(view, stores.engine.url, _entity_keys(stores, name, entity))
        erased.append(OnlineErasure(name, keys))
    return erased


def _entity_keys(stores: EntityStores, view: str, entity: Entity) -> list[dict[str, Any]]:
    """Return the keys of the entity in a view: its value, or the keys of the rows that have it."""
    declared = stores.declared.feature_views[view]
    key_columns = usage.entity_columns(declared)
    types = {column.name: column.dtype for column in declared.columns}
    if key_columns == [entity.column]:
        is_number = types[entity.column] == "integer"
        key = logged_requests.as_integer(entity.value) if is_number else entity.value
        # A text that is no integer is the key of no row.
        return [] if key is None else [{entity.column: key}]
    if stores.lake.version(view) is None:
        return []
    columns = list(dict.fromkeys([*key_columns, entity.column]))
    rows = stores.lake.read(view, columns=columns)
    matching = rows[rows[entity.column].astype(str) == entity.value][key_columns].drop_duplicates()
    records: Any = matching.to_dict("records")
    return list(records)


def _online_views(declared: Catalog, column: str) -> list[str]:
    views = [view for view in declared.feature_views.values() if view.online]
    return [view.name for view in views if _has_column(view.columns, column)]


def _use_cases_of_entity(declared: Catalog, column: str) -> list[str]:
    names: set[str] = set()
    for view in declared.feature_views.values():
        if column in usage.entity_columns(view):
            names |= set(usage.use_cases_of_view(declared, view.name))
    return sorted(names)


def _require_column(stores: EntityStores, column: str) -> None:
    declared = stores.declared
    tables: list[Dataset | FeatureView] = [*declared.datasets.values(), *declared.feature_views.values()]
    columns: set[str] = set()
    for table in tables:
        columns |= set(_declared_names(table.columns))
    if column in columns or any(has_column(stores.lake, name, column) for name in list_tables(stores.lake)):
        return
    raise DataError(f"No table has a column {column}. The declared columns are {', '.join(sorted(columns))}.")


def _has_column(columns: Sequence[Column], name: str) -> bool:
    return name in _declared_names(columns)


def _declared_names(columns: Sequence[Column]) -> list[str]:
    return [column.name for column in columns]


def _landed_files(stores: EntityStores, entity: Entity) -> tuple[str, ...]:
    if stores.landing is None:
        return ()
    return tuple(find_landed_files(stores.landing, stores.declared.datasets.values(), entity))


def _trained_models(
    registry: Registry | None, snapshots: Collection[RecordedSnapshot]
) -> tuple[str, ...] | None:
    """Return the model versions that were trained on these snapshots; None if MLflow does not answer."""
    models: list[str] = []
    try:
        for use_case, digest, _ in snapshots:
            query = f"tags.`airworthy.snapshot.digest` = '{digest}'"
            versions = registry.search_versions(use_case, query) if registry else []
            models += [f"{use_case} version {version['version']}" for version in versions]
    except ServiceUnavailable:
        return None
    return tuple(dict.fromkeys(models))


def _unreadable_snapshots(
    connection: Connection, lake: Lake, erasures: list[TableErasure]
) -> Iterator[RecordedSnapshot]:
    """Yield the snapshots that read a file with a row of the entity."""
    deleted = {
        erasure.table: set(erasure.files) for erasure in erasures if not erasure.table.startswith(ARCHIVE)
    }
    tables = list(deleted)
    query = select(snapshot).where(reads_any(tables)).order_by(snapshot.c.use_case, snapshot.c.as_of)
    for row in connection.execute(query).mappings():
        days = _days(row)
        versions = {row["feature_view"]: row["feature_version"], row["label_dataset"]: row["label_version"]}
        read = [
            _reads(lake, table, version, days, deleted.get(table, set()))
            for table, version in versions.items()
        ]
        for table, version in row["joined_versions"].items():
            # Rows are joined as of their time, also from days before the first one.
            earlier = [day for day in lake.days(table, version=version) if day <= row["last_day"]]
            read.append(_reads(lake, table, version, earlier, deleted.get(table, set())))
        if any(read):
            yield row["use_case"], row["digest"], row["as_of"]


def _reads(lake: Lake, table: str, version: int, days: list[date], deleted: set[str]) -> bool:
    if not deleted:
        return False
    try:
        files = list_files(lake, table, days, version=version)
    except (DataError, PartitionMissing):
        return False
    return any(path.removeprefix(f"{table}/") in deleted for path in files)


def _days(row: Any) -> list[date]:
    length = (row["last_day"] - row["first_day"]).days
    days = (row["first_day"] + timedelta(days=offset) for offset in range(length + 1))
    return [day for day in days if day.isoformat() not in row["excluded_days"]]
