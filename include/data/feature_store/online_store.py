"""Feast's online store in PostgreSQL; an older value never replaces a newer one."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.offline_stores.offline_store import OfflineStore
from feast.infra.online_stores.postgres_online_store.postgres import (
    PostgreSQLOnlineStore,
    PostgreSQLOnlineStoreConfig,
    _table_id,
)
from feast.infra.utils.postgres.connection_utils import _get_conn_kwargs, _get_conninfo
from feast.repo_config import FeastConfigBaseModel
from psycopg import sql
from psycopg_pool import ConnectionPool

from include.data.lake.partition_columns import DAY

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from datetime import date, datetime

    from feast import Entity, FeatureView, RepoConfig
    from psycopg import Connection

MAX_CONNECTIONS = 8
CONNECTION_TIMEOUT_S = 2.0
_COLUMNS = ("entity_key", "feature_name", "value", "value_text", "event_ts", "created_ts")

_CREATE = """
CREATE TABLE IF NOT EXISTS {table} (
    entity_key BYTEA, feature_name TEXT, value BYTEA, value_text TEXT, vector_value BYTEA,
    event_ts TIMESTAMPTZ NOT NULL, created_ts TIMESTAMPTZ NOT NULL, PRIMARY KEY (entity_key, feature_name)
);
CREATE INDEX IF NOT EXISTS {index} ON {table} (value_text) WHERE feature_name = {day};
"""
# Rows are written in the order of their keys, so that two writers cannot deadlock.
_UPSERT = """
INSERT INTO {table} AS stored ({columns}) SELECT {columns} FROM incoming ORDER BY entity_key, feature_name
ON CONFLICT (entity_key, feature_name) DO UPDATE SET
    (value, value_text, event_ts, created_ts)
    = (EXCLUDED.value, EXCLUDED.value_text, EXCLUDED.event_ts, EXCLUDED.created_ts)
WHERE (stored.event_ts, stored.created_ts) <= (EXCLUDED.event_ts, EXCLUDED.created_ts)
"""
_EVICT = """
DELETE FROM {table} WHERE entity_key IN (
    SELECT entity_key FROM {table} WHERE feature_name = {day} AND {condition}
)
"""
_BEFORE = sql.SQL("value_text < %s")
_VANISHED = sql.SQL("value_text = ANY(%s) AND created_ts < %s")


class NewestOnlineStoreConfig(PostgreSQLOnlineStoreConfig):
    """Connection settings of the online store."""

    type: str = "include.data.feature_store.online_store.NewestOnlineStore"  # type: ignore[assignment]


class NoOfflineStoreConfig(FeastConfigBaseModel):
    """Configuration of `NoOfflineStore`."""

    type: str = "include.data.feature_store.online_store.NoOfflineStore"


class NoOfflineStore(OfflineStore):
    """Feast demands an offline store; historical features are read by `feature_store.historical`."""


class NewestOnlineStore(PostgreSQLOnlineStore):
    """
    Feast's PostgreSQL store with a write that compares times, and connections that survive a database
    restart.

    Feast's own write replaces newer values, row by row, and it does not return a connection after an error.
    """

    def __init__(self) -> None:
        self._pool: ConnectionPool | None = None
        # Several views are looked up at the same time, also the first time.
        self._pool_lock = Lock()

    def _open_pool(self, config: RepoConfig) -> ConnectionPool:
        with self._pool_lock:
            if self._pool is None:
                self._pool = ConnectionPool(
                    _get_conninfo(config.online_store),
                    kwargs=_get_conn_kwargs(config.online_store) | {"connect_timeout": 5},
                    min_size=0,
                    max_size=MAX_CONNECTIONS,
                    timeout=CONNECTION_TIMEOUT_S,
                    check=ConnectionPool.check_connection,
                    open=True,
                )
            return self._pool

    @contextmanager
    def _get_conn(self, config: RepoConfig, autocommit: bool = False) -> Iterator[Connection[Any]]:
        with self._open_pool(config).connection() as connection:
            connection.autocommit = autocommit
            yield connection

    def close_pool(self) -> None:
        """Close all connections."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: Sequence[tuple[Any, dict[str, Any], datetime, datetime | None]],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """
        Write the newest row of each entity in one transaction; it is skipped if a newer one is stored.

        Of two rows with the same event time, the later one in `data` counts.
        """
        version = config.entity_key_serialization_version
        newest: dict[bytes, tuple[dict[str, Any], datetime, datetime | None]] = {}
        for key, values, event_time, created in data:
            entity = serialize_entity_key(key, entity_key_serialization_version=version)
            if entity not in newest or newest[entity][1] <= event_time:
                newest[entity] = (values, event_time, created)
        copy = sql.SQL("COPY incoming ({}) FROM STDIN").format(_column_names(_COLUMNS))
        with self._get_conn(config) as connection, connection.cursor() as cursor:
            name = sql.Identifier(_table_id(config.project, table))
            cursor.execute(sql.SQL("CREATE TEMP TABLE incoming (LIKE {}) ON COMMIT DROP").format(name))
            with cursor.copy(copy) as rows:
                for entity, (values, event_time, created) in newest.items():
                    for feature, value in values.items():
                        text = value.string_val if feature == DAY else None
                        rows.write_row(
                            (entity, feature, value.SerializeToString(), text, event_time, created)
                        )
            cursor.execute(sql.SQL(_UPSERT).format(table=name, columns=_column_names(_COLUMNS)))
        if progress:
            progress(len(data))

    def evict_before(self, config: RepoConfig, table: FeatureView, oldest: date) -> int:
        """Delete entities of days before `oldest`, and return the number of deleted values."""
        return self._evict(config, table, _BEFORE, (str(oldest),))

    def evict_vanished(
        self, config: RepoConfig, table: FeatureView, *, days: Collection[date], since: datetime
    ) -> int:
        """Delete entities of `days` that were not written since `since`; return the number of values."""
        return self._evict(config, table, _VANISHED, ([str(day) for day in days], since))

    def _evict(
        self, config: RepoConfig, table: FeatureView, condition: sql.SQL, values: tuple[Any, ...]
    ) -> int:
        name = sql.Identifier(_table_id(config.project, table))
        query = sql.SQL(_EVICT).format(table=name, day=sql.Literal(DAY), condition=condition)
        with self._get_conn(config) as connection, connection.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.rowcount

    def delete_entities(self, config: RepoConfig, table: FeatureView, keys: Sequence[Any]) -> int:
        """Delete the values of entities, given as Feast's keys; return the number of deleted values."""
        version = config.entity_key_serialization_version
        encoded = [serialize_entity_key(key, entity_key_serialization_version=version) for key in keys]
        name = sql.Identifier(_table_id(config.project, table))
        with self._get_conn(config) as connection, connection.cursor() as cursor:
            cursor.execute(sql.SQL("DELETE FROM {} WHERE entity_key = ANY(%s)").format(name), (encoded,))
            return cursor.rowcount

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Create missing tables, and drop those of deleted views."""
        with self._get_conn(config) as connection, connection.cursor() as cursor:
            for view in tables_to_delete:
                table = sql.Identifier(_table_id(config.project, view))
                cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
            for view in tables_to_keep:
                name = _table_id(config.project, view)
                create = sql.SQL(_CREATE).format(
                    table=sql.Identifier(name), index=sql.Identifier(f"{name}_day"), day=sql.Literal(DAY)
                )
                cursor.execute(create)


def _column_names(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
