"""What happened to one request: caller, attempts, features, prediction, label and training data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import or_, select

from include.catalog import catalog
from include.database.tables import access_log, inference_log
from include.errors import AirworthyError, DataError
from include.modeling.lineage import model_lineage
from include.pseudonyms import PREFIX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from include.data.lake.delta_tables import Lake
    from include.declarations import UseCase
    from include.modeling.registry.registry import Registry

# Requests with the same id that are shown, the newest first, and rows of one whose labels are looked up.
MAX_REQUESTS = 20
MAX_ROWS = 20


@dataclass(frozen=True, slots=True)
class RequestTrace:
    """
    One request.

    Parameters
    ----------
    access
        What the caller got, as the gateway logged it; None for a request that did not come through it.
    records
        What the versions did that were called, with features and predictions: also failed ones and copies.
    labels
        For each row of the record that was answered to the caller its labels that have landed.
    training
        What the version that answered was trained on; None if none answered.
    problems
        Why labels or training data cannot be shown.
    """

    access: dict[str, Any] | None
    records: list[dict[str, Any]]
    labels: list[dict[str, Any]] = field(default_factory=list)
    training: dict[str, Any] | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def answer(self) -> dict[str, Any] | None:
        """The record whose predictions the caller got."""
        version = self.access["version"] if self.access else None
        answered = [
            record
            for record in self.records
            if record["role"] not in {"shadow", "replay"} and 200 <= record["status"] < 300
        ]
        same = [record for record in answered if record["version"] == version]
        return next(iter(same or answered), None)


def trace_request(connection: Connection, lake: Lake, registry: Registry, name: str) -> list[RequestTrace]:
    """
    Return the requests with an id, newest first.

    Parameters
    ----------
    name
        A caller's `X-Request-Id`, the trace id of its `traceparent`, or the gateway's id.

    Raises
    ------
    DataError
        If neither log has such a request.
    """
    return [_with_origins(trace, lake, registry) for trace in read_logs(connection, name)]


def read_logs(connection: Connection, name: str) -> list[RequestTrace]:
    """
    Return what the logs have of the requests with an id, newest first, without labels and training.

    Raises
    ------
    DataError
        If neither log has such a request.
    """
    access_columns = access_log.c
    entries = _rows(connection, access_log, or_(*_matches_name(access_columns, name, "id")))
    ids = [entry["id"] for entry in entries]
    conditions = [*_matches_name(inference_log.c, name, "gateway_id"), inference_log.c.gateway_id.in_(ids)]
    records = _rows(connection, inference_log, or_(*conditions))
    by_request: dict[Any, list[dict[str, Any]]] = {identity: [] for identity in ids}
    direct: list[dict[str, Any]] = []
    for record in records:
        by_request.get(record["gateway_id"], direct).append(record)
    through_gateway = [RequestTrace(entry, by_request[entry["id"]]) for entry in entries]
    traces = through_gateway + [RequestTrace(None, [record]) for record in direct]
    if not traces:
        raise DataError(
            f"No request {name} is in the access log or the inference log. Entries arrive within seconds."
        )
    return traces


def _matches_name(columns: Any, name: str, id_column: str) -> list[Any]:
    as_text = columns[id_column].cast(columns.request_id.type)
    return [columns.request_id == name, columns.trace_id == name, as_text == name.lower()]


def _rows(connection: Connection, table: Any, condition: Any) -> list[dict[str, Any]]:
    query = select(table).where(condition).order_by(table.c.received_at.desc()).limit(MAX_REQUESTS)
    return [dict(row) for row in connection.execute(query).mappings()]


def _with_origins(trace: RequestTrace, lake: Lake, registry: Registry) -> RequestTrace:
    """Return the trace with the labels that have landed, and with what the version was trained on."""
    answer = trace.answer
    if answer is None:
        return trace
    problems = []
    labels: list[dict[str, Any]] = []
    training = None
    try:
        labels = _labels_of(answer, lake)
    except AirworthyError as error:
        problems.append(str(error))
    try:
        training = _training_of(answer, lake, registry)
    except AirworthyError as error:
        problems.append(str(error))
    return replace(trace, labels=labels, training=training, problems=problems)


def _labels_of(answer: dict[str, Any], lake: Lake) -> list[dict[str, Any]]:
    """Return the labels of the rows of an answered request."""
    use_case = catalog().use_cases.get(answer["use_case"])
    if use_case is None or use_case.task == "anomaly":
        raise DataError(f"{answer['use_case']} is not declared with a label.")
    keys = catalog().spine_of(use_case).label_keys
    rows = (answer["inputs"] or [])[:MAX_ROWS]
    entities = [entity for row in rows if (entity := _entity_of(row, answer, keys)) is not None]
    if not entities:
        raise DataError(f"No row of the request names its {', '.join(keys)}, or it is personal: no label.")
    return _landed_labels(use_case, lake, keys, entities)


def _entity_of(row: dict[str, Any], answer: dict[str, Any], keys: Sequence[str]) -> dict[str, Any] | None:
    """Return the entity of a logged row; None if it is not known or a pseudonym."""
    named = {keys[0]: answer["entity_id"]} if len(answer["inputs"]) == 1 and len(keys) == 1 else {}
    entity = {key: row.get(key, named.get(key)) for key in keys}
    values = entity.values()
    is_known = all(value is not None and not str(value).startswith(PREFIX) for value in values)
    return entity if is_known else None


def _landed_labels(
    use_case: UseCase, lake: Lake, keys: Sequence[str], entities: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the labels of the entities with their day, one batch of the table after the other."""
    import pyarrow as pa
    import pyarrow.compute as pc

    label = use_case.label
    if not entities or lake.version(label.dataset) is None:
        return []
    requested = {_key_values(entity, keys) for entity in entities}
    first_keys = [key[0] for key in requested]
    labels = []
    for batch in lake.scan(label.dataset, columns=[*keys, label.column]):
        column = batch.column(keys[0]).cast("string")
        selected = batch.filter(pc.is_in(column, value_set=pa.array(first_keys, pa.string())))
        for row in selected.to_pylist():
            if _key_values(row, keys) in requested:
                labels.append({"dataset": label.dataset, **row})
    return labels


def _key_values(row: dict[str, Any], keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(row[key]) for key in keys)


def _training_of(answer: dict[str, Any], lake: Lake, registry: Registry) -> dict[str, Any]:
    lineage = model_lineage(registry, lake, answer["use_case"], answer["version"])
    snapshot = lineage.snapshot
    return {
        "version": lineage.version, "run_id": lineage.run_id, "code_version": lineage.code_version,
        "snapshot": snapshot.digest, "first_day": snapshot.days[0], "last_day": snapshot.days[1],
        "rows": snapshot.rows, "tables": dict(snapshot.versions),
    }  # fmt: skip
