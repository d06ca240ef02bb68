"""Open Feast on our stores: register views, bring rows online, and read what was known in the past."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from feast import FeatureStore, RepoConfig
from psycopg_pool import PoolTimeout
from sqlalchemy import create_engine, func, make_url, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from include.data.feature_store.definitions import (
    ENTITY_TIME,
    PROJECT,
    PUBLISHED_AT,
    definitions,
    names,
)
from include.data.lake import dtypes
from include.database.locks import lock_session
from include.errors import DataError, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import date

    import pandas as pd
    from sqlalchemy import URL

    from include.data.lake.delta_tables import Lake
    from include.declarations import FeatureView

SCHEMA = "feast"
_LOCK_KEY = "feature store/registry"
_OFFLINE, _ONLINE = "include.data.feature_store.offline_store", "include.data.feature_store.online_store"


@dataclass(frozen=True, slots=True)
class MaterialisationResult:
    """How many rows of which days are online now, and how many values were forgotten for them."""

    rows: int
    days: tuple[str, ...]
    evicted: int


def historical(
    view: FeatureView,
    lake: Lake,
    entities: pd.DataFrame,
    *,
    version: int | None = None,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """
    Return `entities` with the `columns` of a view, by default all, as they stood at each row's time.

    `entities` has the view's entity and time. Its rows stay as many, and in their order; what was not known
    is null. A version of the view's table may be named.

    :raises PartitionMissing: if the view was never published
    :raises DataError: if a column does not exist, or an entity row has no time
    """
    wanted = [name for name in (columns or names(view)) if name not in entities.columns]
    unknown = sorted(set(wanted) - set(names(view)))
    if unknown:
        raise DataError(f"{view.name} has no column {', '.join(unknown)}; it has {', '.join(names(view))}.")
    if entities[view.time].isna().any():
        raise DataError(f"{view.name}: an entity row has no {view.time}, so nothing was known at it.")
    if not wanted:
        return entities.reset_index(drop=True)
    versions = {} if version is None else {view.name: version}
    store: Any = FeatureStore(
        config=RepoConfig(
            project=PROJECT,
            provider="local",
            registry={
                "registry_store_type": f"{_OFFLINE}.MemoryRegistryStore",
                "path": "unused",
                "cache_ttl_seconds": 0,
            },
            offline_store={
                "type": f"{_OFFLINE}.LakeOfflineStore",
                "lake": lake,
                "versions": versions,
            },
            online_store=None,
            entity_key_serialization_version=3,
        )
    )
    store.apply(definitions(view, lake.uri), skip_feature_view_validation=True)
    asked = entities[[view.entity]].assign(**{ENTITY_TIME: entities[view.time]})
    job = store.get_historical_features(asked, [f"{view.name}:{name}" for name in wanted])
    found = dtypes.to_frame(job.to_arrow().select(wanted))
    return entities.reset_index(drop=True).join(found)


@contextmanager
def open_store(url: str | URL) -> Iterator[Any]:
    """
    Give Feast on the registry and the online store of a database, which get a schema of their own.

    :raises ServiceUnavailable: if the database is away
    """
    store: Any = FeatureStore(config=_config(make_url(url)))
    try:
        with _feature_store_lock(url):  # it makes its tables when it is opened
            store.registry  # noqa: B018
        yield store
    except (OperationalError, psycopg.OperationalError, PoolTimeout) as error:
        raise ServiceUnavailable(f"The feature store's database is away: {error}. Try again.") from error
    finally:
        store.provider.online_store.close_pool()
        if store._registry is not None:
            store._registry.write_engine.dispose()


def register_views(store: Any, views: Collection[FeatureView], lake_uri: str) -> None:
    """Tell Feast's registry what these views are, unless it knows; the tables that they need are made."""
    known = {view.name: view for view in store.registry.list_feature_views(PROJECT)}
    for view in views:
        wanted = definitions(view, lake_uri)
        if _same(known.get(view.name), wanted[-1]):
            continue
        with _feature_store_lock(store.registry.write_engine.url):
            store.apply(wanted, skip_feature_view_validation=True)


def materialise(
    view: FeatureView, lake: Lake, url: str | URL, days: Collection[date] | None = None
) -> MaterialisationResult:
    """
    Bring those of `days`, by default all, online that are among the newest; repeated, it changes nothing.

    What is read is the newest version of the lake; whoever read an earlier one cannot undo it. Entities of
    days that are no longer among the newest are forgotten, and so are those that a day no longer has.

    :raises DataError: if the view is not online
    :raises ServiceUnavailable: if the database is away
    """
    if view.online is None:
        raise DataError(f"{view.name} is not online: declare online=Online(days=…) in its file.")
    with open_store(url) as store:
        register_views(store, [view], lake.uri)
        with store.registry.write_engine.connect() as connection:
            moment = connection.execute(select(func.clock_timestamp())).scalar_one()
        kept = lake.days(view.name)[-view.online.days :]
        newest = kept if days is None else sorted(set(kept) & set(days))
        if not newest:
            return MaterialisationResult(0, (), 0)
        rows = lake.read(view.name, newest, columns=[view.entity, view.time, *names(view)])
        store.write_to_online_store(view.name, rows.assign(**{PUBLISHED_AT: moment}))
        forgotten = store.provider.online_store.evict(
            store.config,
            store.get_feature_view(view.name),
            days=newest,
            oldest=kept[0],
            since=moment,
        )
    return MaterialisationResult(len(rows), tuple(map(str, newest)), forgotten)


def look_up(store: Any, view: FeatureView, keys: Sequence[Any]) -> pd.DataFrame:
    """Return the online features of these entities, row by row; null where there are none."""
    answer = store.get_online_features(
        [f"{view.name}:{name}" for name in names(view)], [{view.entity: key} for key in keys]
    )
    return dtypes.to_frame(answer.to_arrow())


def sentinel_key(view: FeatureView) -> str | int:
    """Return a key of the right type that no entity has."""
    types = {column.name: column.dtype for column in view.columns}
    return "" if types[view.entity] == "string" else -1


def _config(url: URL) -> RepoConfig:
    registry = url.set(drivername="postgresql+psycopg2").update_query_dict(
        {"options": f"-csearch_path={SCHEMA}"}
    )
    return RepoConfig(
        project=PROJECT,
        provider="local",
        registry={
            "registry_type": "sql",
            "path": registry.render_as_string(hide_password=False),
            "cache_ttl_seconds": 60,
            "sqlalchemy_config_kwargs": {"pool_pre_ping": True, "hide_parameters": True},
        },
        offline_store={"type": f"{_OFFLINE}.LakeOfflineStore", "lake": None},
        online_store={
            "type": f"{_ONLINE}.NewestOnlineStore",
            "host": url.host,
            "port": url.port or 5432,
            "database": url.database,
            "db_schema": SCHEMA,
            "user": url.username,
            "password": url.password or "",
            "sslmode": url.query.get("sslmode", "prefer"),
        },
        entity_key_serialization_version=3,
    )


@contextmanager
def _feature_store_lock(url: str | URL) -> Iterator[None]:
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True)
    with engine.connect() as connection:
        lock_session(connection, _LOCK_KEY)
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        yield


def _same(known: Any, wanted: Any) -> bool:
    return known is not None and {
        (field.name, str(field.dtype)) for field in (*known.features, *known.entity_columns)
    } == {(field.name, str(field.dtype)) for field in wanted.schema} and (
        known.description, known.owner, known.online, known.batch_source.path
    ) == (wanted.description, wanted.owner, wanted.online, wanted.batch_source.path)  # fmt: skip
