"""Feast's online store in PostgreSQL; an older value never replaces a newer one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.postgres_online_store.postgres import (
    PostgreSQLOnlineStore,
    PostgreSQLOnlineStoreConfig,
    _table_id,
)
from feast.infra.utils.postgres.connection_utils import _get_conn_kwargs, _get_conninfo
from psycopg import sql
from psycopg_pool import ConnectionPool

from include.data.feature_store.definitions import DAY

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
CREATE INDEX IF NOT EXISTS {index} ON {table} (value_text) WHERE feature_name = 'day';
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
    SELECT entity_key FROM {table} WHERE feature_name = 'day'
    AND (value_text < %s OR value_text = ANY(%s) AND created_ts < %s)
)
"""


class NewestOnlineStoreConfig(PostgreSQLOnlineStoreConfig):
    """Connection settings of the online store."""

    type: str = "include.data.feature_store.online_store.NewestOnlineStore"  # type: ignore[assignment]


class NewestOnlineStore(PostgreSQLOnlineStore):
    """
    Feast's PostgreSQL store with a write that compares times, and connections that survive a database
    restart.

    Feast's own write replaces newer values, row by row, and it does not return a connection after an error.
    """

    def __init__(self) -> None:
        self._pool: ConnectionPool | None = None

    @contextmanager
    def _get_conn(self, config: RepoConfig, autocommit: bool = False) -> Iterator[Connection[Any]]:
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
        with self._pool.connection() as connection:
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
        """Write rows in one transaction; a row is skipped if its entity has a newer one."""
        version = config.entity_key_serialization_version
        copy = sql.SQL("COPY incoming ({}) FROM STDIN").format(_column_names(_COLUMNS))
        with self._get_conn(config) as connection, connection.cursor() as cursor:
            name = sql.Identifier(_table_id(config.project, table))
            cursor.execute(sql.SQL("CREATE TEMP TABLE incoming (LIKE {}) ON COMMIT DROP").format(name))
            with cursor.copy(copy) as rows:
                for key, values, event_time, created in data:
                    entity = serialize_entity_key(key, entity_key_serialization_version=version)
                    for feature, value in values.items():
                        text = value.string_val if feature == DAY else None
                        rows.write_row(
                            (entity, feature, value.SerializeToString(), text, event_time, created)
                        )
            cursor.execute(sql.SQL(_UPSERT).format(table=name, columns=_column_names(_COLUMNS)))
        if progress:
            progress(len(data))

    def evict(
        self, config: RepoConfig, table: FeatureView, *, days: Collection[date], oldest: date, since: datetime
    ) -> int:
        """
        Delete entities of days before `oldest`, and entities of `days` that were not written since `since`.

        Return the number of deleted values.
        """
        name = sql.Identifier(_table_id(config.project, table))
        with self._get_conn(config) as connection, connection.cursor() as cursor:
            cursor.execute(
                sql.SQL(_EVICT).format(table=name), (str(oldest), [str(day) for day in days], since)
            )
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
                names = {"table": sql.Identifier(name), "index": sql.Identifier(f"{name}_{DAY}")}
                cursor.execute(sql.SQL(_CREATE).format(**names))


def _column_names(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
