"""Client of the feature store: register views, materialise them online, read features."""

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
# Key of the advisory lock: one process at a time may change the registry.
_LOCK_KEY = "feature store/registry"
_OFFLINE = "include.data.feature_store.offline_store"
_ONLINE = "include.data.feature_store.online_store"


@dataclass(frozen=True, slots=True)
class MaterialisationResult:
    """Number of rows and days that were written online, and number of older values that were deleted."""

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
    Join features to entities, each as of the time of its row (point-in-time join).

    Parameters
    ----------
    entities
        Frame (n rows) with the view's entity and time.
    version
        Version of the view's table; by default the newest.
    columns
        Columns of the view; by default all.

    Returns
    -------
    pandas.DataFrame
        `entities` (n rows, same order) with the columns; null where nothing was known at that time.

    Raises
    ------
    PartitionMissing
        If the view was never published.
    DataError
        If a column does not exist, or an entity row has no time.
    """
    requested = [name for name in (columns or names(view)) if name not in entities.columns]
    unknown = sorted(set(requested) - set(names(view)))
    if unknown:
        raise DataError(f"{view.name} has no column {', '.join(unknown)}; it has {', '.join(names(view))}.")
    if entities[view.time].isna().any():
        raise DataError(
            f"{view.name}: an entity row has no {view.time}. Give each row the time of its event."
        )
    if not requested:
        return entities.reset_index(drop=True)
    versions = {} if version is None else {view.name: version}
    store: Any = FeatureStore(config=_historical_config(lake, versions))
    store.apply(definitions(view, lake.uri), skip_feature_view_validation=True)
    spine = entities[[view.entity]].assign(**{ENTITY_TIME: entities[view.time]})
    job = store.get_historical_features(spine, [f"{view.name}:{name}" for name in requested])
    features = dtypes.to_frame(job.to_arrow().select(requested))
    return entities.reset_index(drop=True).join(features)


@contextmanager
def open_store(url: str | URL) -> Iterator[Any]:
    """
    Open a Feast store whose registry and online store are in the schema `feast` of a database.

    Raises
    ------
    ServiceUnavailable
        If the database does not answer.
    """
    store: Any = FeatureStore(config=_config(make_url(url)))
    try:
        # Opening the registry creates its tables.
        with _feature_store_lock(url):
            store.registry  # noqa: B018
        yield store
    except (OperationalError, psycopg.OperationalError, PoolTimeout) as error:
        raise ServiceUnavailable(
            f"The feature store's database does not answer: {error}. Check that PostgreSQL runs."
        ) from error
    finally:
        store.provider.online_store.close_pool()
        if store._registry is not None:
            store._registry.write_engine.dispose()


def register_views(store: Any, views: Collection[FeatureView], lake_uri: str) -> None:
    """Register new and changed views in Feast's registry, and create the online tables that they need."""
    registered = {view.name: view for view in store.registry.list_feature_views(PROJECT)}
    for view in views:
        declared = definitions(view, lake_uri)
        if _is_registered(declared[-1], registered.get(view.name)):
            continue
        with _feature_store_lock(store.registry.write_engine.url):
            store.apply(declared, skip_feature_view_validation=True)


def materialise_view(
    view: FeatureView, lake: Lake, url: str | URL, days: Collection[date] | None = None
) -> MaterialisationResult:
    """
    Write the rows of `days`, by default all, to the online store if they are among the newest `online.days`.

    Rows are read from the newest version of the view's table; a write from an older version cannot replace
    them. Entities of days that are no longer among the newest are deleted, and entities that a day no longer
    has. A second call with the same data changes nothing.

    Raises
    ------
    DataError
        If the view is not declared online.
    ServiceUnavailable
        If the database does not answer.
    """
    if view.online is None:
        raise DataError(f"{view.name} is not online: declare online=Online(days=…) in its file.")
    with open_store(url) as store:
        register_views(store, [view], lake.uri)
        with store.registry.write_engine.connect() as connection:
            published_at = connection.execute(select(func.clock_timestamp())).scalar_one()
        online_days = lake.days(view.name)[-view.online.days :]
        written_days = online_days if days is None else sorted(set(online_days) & set(days))
        if not written_days:
            return MaterialisationResult(0, (), 0)
        rows = lake.read(view.name, written_days, columns=[view.entity, view.time, *names(view)])
        store.write_to_online_store(view.name, rows.assign(**{PUBLISHED_AT: published_at}))
        evicted = store.provider.online_store.evict(
            store.config,
            store.get_feature_view(view.name),
            days=written_days,
            oldest=online_days[0],
            since=published_at,
        )
    return MaterialisationResult(len(rows), tuple(map(str, written_days)), evicted)


def look_up(store: Any, view: FeatureView, keys: Sequence[Any]) -> pd.DataFrame:
    """Return the online features of `keys` (n rows, same order); null where there are none."""
    response = store.get_online_features(
        [f"{view.name}:{name}" for name in names(view)], [{view.entity: key} for key in keys]
    )
    return dtypes.to_frame(response.to_arrow())


def sentinel_key(view: FeatureView) -> str | int:
    """Return a key in the type of the view's entity that no entity has."""
    types = {column.name: column.dtype for column in view.columns}
    return "" if types[view.entity] == "string" else -1


def _historical_config(lake: Lake, versions: dict[str, int]) -> RepoConfig:
    """Return a configuration with a registry in memory and the lake as offline store."""
    return RepoConfig(
        project=PROJECT,
        provider="local",
        registry={
            "registry_store_type": f"{_OFFLINE}.MemoryRegistryStore",
            "path": "unused",
            "cache_ttl_seconds": 0,
        },
        offline_store={"type": f"{_OFFLINE}.LakeOfflineStore", "lake": lake, "versions": versions},
        online_store=None,
        entity_key_serialization_version=3,
    )


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
    """Hold the advisory lock of the registry; closing the connection frees it."""
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True)
    with engine.connect() as connection:
        lock_session(connection, _LOCK_KEY)
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        yield


def _is_registered(declared: Any, registered: Any) -> bool:
    """Return whether Feast's registered view, None where there is none, equals the declared one."""
    if registered is None:
        return False
    registered_fields = {
        (field.name, str(field.dtype)) for field in (*registered.features, *registered.entity_columns)
    }
    if registered_fields != {(field.name, str(field.dtype)) for field in declared.schema}:
        return False
    return all(
        getattr(registered, name) == getattr(declared, name) for name in ("description", "owner", "online")
    ) and bool(registered.batch_source.path == declared.batch_source.path)
