"""Client of the online feature store: register views, write their newest rows, look features up."""

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

from include.data.feature_store.columns import join_key, names
from include.data.feature_store.definitions import PROJECT, definitions
from include.data.feature_store.online_rows import lookup_table, to_online_rows
from include.data.lake import dtypes
from include.database.locks import lock_session
from include.errors import DataError, ServiceUnavailable
from include.partitions import day_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import date, datetime

    import pandas as pd
    from sqlalchemy import URL

    from include.data.lake.delta_tables import Lake
    from include.declarations import FeatureView

SCHEMA = "feast"
# Key of the advisory lock: one process at a time may change the registry.
_LOCK_KEY = "feature store/registry"
_STORES = "include.data.feature_store.online_store"


@dataclass(frozen=True, slots=True)
class MaterialisationResult:
    """Number of rows and days that were written online, and number of older values that were deleted."""

    rows: int
    days: tuple[str, ...]
    evicted: int


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

    Of several rows of an entity, the newest is online. Rows are read from the newest version of the view's
    table; a write from an older version cannot replace them. Entities of days that are no longer among the
    newest are deleted; an entity that its day no longer has gets its row of an earlier day, if there is one.
    A second call with the same data changes nothing.

    Raises
    ------
    DataError
        If the view is not declared online.
    ServiceUnavailable
        If the database does not answer.
    """
    n_days = view.online_days
    if n_days is None:
        raise DataError(f"{view.name} is not online: declare online=Online(days=…) in its file.")
    with open_store(url) as store:
        register_views(store, [view], lake.uri)
        with store.registry.write_engine.connect() as connection:
            published_at = connection.execute(select(func.clock_timestamp())).scalar_one()
        published = lake.partitions(view.name)
        online_days = sorted({day_of(partition) for partition in published})[-n_days:]
        written_days = online_days if days is None else sorted(set(online_days) & set(days))
        if not written_days:
            return MaterialisationResult(0, (), 0)
        rows = _write_days(store, view, lake, written_days, published_at)
        online = store.provider.online_store
        table = store.get_feature_view(view.name)
        evicted = online.evict_before(store.config, table, online_days[0])
        vanished = online.evict_vanished(store.config, table, days=written_days, since=published_at)
        other_days = sorted(set(online_days) - set(written_days))
        if vanished and other_days:
            _write_days(store, view, lake, other_days, published_at)
    return MaterialisationResult(rows, tuple(map(str, written_days)), evicted + vanished)


def look_up(store: Any, view: FeatureView, keys: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """
    Return the entity columns and the online features of `keys` (n rows, same order).

    Parameters
    ----------
    keys
        For each column of the entity its values (n,).

    Returns
    -------
    pandas.DataFrame
        Null features where the entity is not online.
    """
    response = store.get_online_features(
        [f"{view.name}:{name}" for name in names(view)],
        {join_key(view, name): list(values) for name, values in keys.items()},
    )
    return dtypes.to_frame(lookup_table(view, response.to_dict()))


def sentinel_key(view: FeatureView) -> dict[str, list[str | int]]:
    """Return a key in the types of the view's entity that no entity is likely to have."""
    types = {column.name: column.dtype for column in view.columns}
    return {name: ["" if types[name] == "string" else -1] for name in view.keys}


def _write_days(
    store: Any, view: FeatureView, lake: Lake, days: Collection[date], published_at: datetime
) -> int:
    """Write the rows of some days and return their number."""
    columns = dict.fromkeys((*view.keys, view.time, *names(view)))
    # Of a view of hours, the hours of the days that are there.
    partitions = [partition for partition in lake.partitions(view.name) if day_of(partition) in days]
    table = lake.read_table(view.name, partitions, columns=list(columns))
    rows = to_online_rows(view, table, published_at)
    feature_view = store.get_feature_view(view.name)
    store.provider.online_store.online_write_batch(store.config, feature_view, rows, None)
    return len(table)


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
        offline_store={"type": f"{_STORES}.NoOfflineStore"},
        online_store={
            "type": f"{_STORES}.NewestOnlineStore",
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
