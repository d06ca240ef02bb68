"""Feast's online store in PostgreSQL, in which no older value ever replaces a newer one."""

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

CONNECTIONS = 8
PATIENCE = 2.0  # seconds that a caller waits for a connection
_COLUMNS = ("entity_key", "feature_name", "value", "value_text", "event_ts", "created_ts")

_CREATE = """
CREATE TABLE IF NOT EXISTS {table} (
    entity_key BYTEA, feature_name TEXT, value BYTEA, value_text TEXT, vector_value BYTEA,
    event_ts TIMESTAMPTZ NOT NULL, created_ts TIMESTAMPTZ NOT NULL, PRIMARY KEY (entity_key, feature_name)
);
CREATE INDEX IF NOT EXISTS {index} ON {table} (value_text) WHERE feature_name = 'day';
"""
# In the order of their keys, so that two writers wait for each other and never for themselves.
_UPSERT = """
INSERT INTO {table} AS known ({columns}) SELECT {columns} FROM incoming ORDER BY entity_key, feature_name
ON CONFLICT (entity_key, feature_name) DO UPDATE SET
    (value, value_text, event_ts, created_ts)
    = (EXCLUDED.value, EXCLUDED.value_text, EXCLUDED.event_ts, EXCLUDED.created_ts)
WHERE (known.event_ts, known.created_ts) <= (EXCLUDED.event_ts, EXCLUDED.created_ts)
"""
_FORGET = """
DELETE FROM {table} WHERE entity_key IN (
    SELECT entity_key FROM {table} WHERE feature_name = 'day'
    AND (value_text < %s OR value_text = ANY(%s) AND created_ts < %s)
)
"""


class NewestOnlineStoreConfig(PostgreSQLOnlineStoreConfig):
    """Where the database is."""

    type: str = "include.data.feature_store.online_store.NewestOnlineStore"  # type: ignore[assignment]


class NewestOnlineStore(PostgreSQLOnlineStore):
    """
    Feast's store, with a write that compares times, and connections that survive the database's restart.

    Feast's own overwrites whatever is there, row by row, and after an error never gives a connection back.
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
                max_size=CONNECTIONS,
                timeout=PATIENCE,
                check=ConnectionPool.check_connection,
                open=True,
            )
        with self._pool.connection() as connection:
            connection.autocommit = autocommit
            yield connection

    def close_pool(self) -> None:
        """Close every connection."""
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
        """Write rows, all of them or none, each unless there is a newer one of its entity."""
        version = config.entity_key_serialization_version
        copy = sql.SQL("COPY incoming ({}) FROM STDIN").format(_names(_COLUMNS))
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
            cursor.execute(sql.SQL(_UPSERT).format(table=name, columns=_names(_COLUMNS)))
        if progress:
            progress(len(data))

    def evict(
        self, config: RepoConfig, table: FeatureView, *, days: Collection[date], oldest: date, since: datetime
    ) -> int:
        """
        Delete the entities of days before `oldest`, and those that `days` no longer have.

        The latter were written before `since`, and not again. Return the number of values.
        """
        name = sql.Identifier(_table_id(config.project, table))
        with self._get_conn(config) as connection, connection.cursor() as cursor:
            cursor.execute(
                sql.SQL(_FORGET).format(table=name), (str(oldest), [str(day) for day in days], since)
            )
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
        """Make the tables that lack, and drop those of views that are gone."""
        with self._get_conn(config) as connection, connection.cursor() as cursor:
            for view in tables_to_delete:
                gone = sql.Identifier(_table_id(config.project, view))
                cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(gone))
            for view in tables_to_keep:
                name = _table_id(config.project, view)
                names = {"table": sql.Identifier(name), "index": sql.Identifier(f"{name}_{DAY}")}
                cursor.execute(sql.SQL(_CREATE).format(**names))


def _names(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
