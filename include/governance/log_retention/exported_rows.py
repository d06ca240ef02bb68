"""One day of a log as rows for the lake, read from the database in batches."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pyarrow as pa
from sqlalchemy import select, text

from include.data.lake.dtypes import TIMESTAMP
from include.data.lake.partition_columns import DAY
from include.database.tables import access_log, inference_log
from include.declarations.base import INTERNAL_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date, datetime

    from sqlalchemy import ColumnElement, Engine, Row, Select

BATCH_ROWS = 10_000
# Of the access log, what says who a person is stays out of the lake.
PERSONAL = frozenset({"client", "entity_hash"})
ID = f"{INTERNAL_PREFIX}id"
POSITION = f"{INTERNAL_PREFIX}position"
ENTITY = f"{INTERNAL_PREFIX}entity_id"
PREDICTION = f"{INTERNAL_PREFIX}prediction"
_TYPES = {"INTEGER": pa.int64(), "BIGINT": pa.int64(), "BOOLEAN": pa.bool_(), "DATETIME": TIMESTAMP}
_TYPES |= {"DOUBLE": pa.float64()}

_INPUT_NAMES = text("""
SELECT DISTINCT jsonb_object_keys(entry) FROM inference_log CROSS JOIN LATERAL jsonb_array_elements(
  CASE jsonb_typeof(inputs) WHEN 'array' THEN inputs ELSE '[]' END
) AS entry
WHERE use_case = :use_case AND received_at >= :start AND received_at < :finish
  AND jsonb_typeof(entry) = 'object'
""")


@dataclass(frozen=True)
class DayOfRequests:
    """
    Records of the inference log of one day: one row per row of a request, with its inputs as text.

    Parameters
    ----------
    engine
        Database of the log.
    use_case
        Name of the use case.
    day, start, finish
        Day, and its first moment and that of the next one.
    key
        Column of the entity that a request names in its header; empty if it is not known.
    """

    engine: Engine
    use_case: str
    day: date
    start: datetime
    finish: datetime
    key: str = ""

    @property
    def table(self) -> str:
        """Name of the table in the lake."""
        return f"{self.use_case}_requests"

    @property
    def conditions(self) -> tuple[ColumnElement[bool], ...]:
        """Conditions of these records."""
        log = inference_log.c
        return (log.use_case == self.use_case, log.received_at >= self.start, log.received_at < self.finish)

    @property
    def schema(self) -> pa.Schema:
        """Columns: those of the log with a prefix, and one for each input."""
        columns = [column for column in inference_log.columns if column.name not in {"inputs", "predictions"}]
        fields = [
            pa.field(f"{INTERNAL_PREFIX}{column.name}", _TYPES.get(str(column.type), pa.string()))
            for column in columns
        ]
        fields += [pa.field(POSITION, pa.int64()), pa.field(PREDICTION, pa.string())]
        names = set(self._input_names()) | ({self.key} if self.key else set())
        fields += [pa.field(name, pa.string()) for name in sorted(names)]
        return pa.schema([*fields, pa.field(DAY, pa.string())])

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows, or some columns of them."""
        schema = self.schema
        query = select(inference_log).where(*self.conditions).order_by(inference_log.c.received_at)
        for records in _read(self.engine, query):
            rows: list[dict[str, Any]] = []
            for record in records:
                rows += self._rows_of(record._mapping, schema)
            yield _to_batch(rows, schema, columns)

    def _rows_of(self, record: Mapping[Any, Any], schema: pa.Schema) -> list[dict[str, Any]]:
        inputs = record["inputs"] if isinstance(record["inputs"], list) else []
        predictions = record["predictions"] if isinstance(record["predictions"], list) else []
        common = {
            f"{INTERNAL_PREFIX}{name}": _as_scalar(value)
            for name, value in record.items()
            if f"{INTERNAL_PREFIX}{name}" in schema.names
        }
        rows = []
        for position in range(max(len(inputs), len(predictions), 1)):
            row = common | {POSITION: position, DAY: self.day.isoformat()}
            if position < len(predictions):
                row[PREDICTION] = json.dumps(predictions[position])
            if position < len(inputs):
                row |= {name: _as_text(value) for name, value in inputs[position].items()}
            if self.key and len(inputs) <= 1:
                row[self.key] = row.get(self.key) or record["entity_id"]
            rows.append(row)
        return rows

    def _input_names(self) -> list[str]:
        parameters = {"use_case": self.use_case, "start": self.start, "finish": self.finish}
        with self.engine.connect() as connection:
            return list(connection.scalars(_INPUT_NAMES, parameters))


@dataclass(frozen=True)
class DayOfAccess:
    """Entries of the access log of one day, of all use cases, without the columns in `PERSONAL`."""

    engine: Engine
    day: date
    start: datetime
    finish: datetime
    use_case: str = ""
    table: str = "airworthy_access_log"

    @property
    def conditions(self) -> tuple[ColumnElement[bool], ...]:
        """Conditions of these entries."""
        log = access_log.c
        return (log.received_at >= self.start, log.received_at < self.finish)

    @property
    def schema(self) -> pa.Schema:
        """Columns of the log with a prefix."""
        fields = [
            pa.field(f"{INTERNAL_PREFIX}{column.name}", _TYPES.get(str(column.type), pa.string()))
            for column in access_log.columns
            if column.name not in PERSONAL
        ]
        return pa.schema([*fields, pa.field(DAY, pa.string())])

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows, or some columns of them."""
        schema = self.schema
        query = select(access_log).where(*self.conditions).order_by(access_log.c.received_at)
        for entries in _read(self.engine, query):
            rows = [self._row_of(entry._mapping) for entry in entries]
            yield _to_batch(rows, schema, columns)

    def _row_of(self, entry: Mapping[Any, Any]) -> dict[str, Any]:
        row = {f"{INTERNAL_PREFIX}{name}": _as_scalar(value) for name, value in entry.items()}
        return row | {DAY: self.day.isoformat()}


LoggedDay = DayOfRequests | DayOfAccess


def _read(engine: Engine, query: Select[Any]) -> Iterator[Sequence[Row[Any]]]:
    """Yield the rows of a query in batches, from a cursor of the server."""
    with engine.connect() as connection:
        result = connection.execution_options(yield_per=BATCH_ROWS).execute(query)
        yield from result.partitions()


def _to_batch(rows: list[dict[str, Any]], schema: pa.Schema, columns: Sequence[str] | None) -> pa.RecordBatch:
    selected = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    return pa.RecordBatch.from_pylist(rows, schema=selected)


def _as_scalar(value: Any) -> Any:
    """Return a value of a column, an id as text."""
    return str(value) if isinstance(value, UUID) else value


def _as_text(value: Any) -> str | None:
    """Return an input as text; other types than text as JSON."""
    return value if value is None or isinstance(value, str) else json.dumps(value)
