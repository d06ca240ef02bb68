"""Requests of an entity in the inference log: counted, and erased."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, or_, select, update

from include.database.tables import access_log, inference_log
from include.pseudonyms import pseudonym

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Engine, RowMapping

_INTEGER = re.compile(r"-?[0-9]{1,19}")


def count_requests(
    connection: Connection, column: str, value: str, *, use_cases: Sequence[str], key: str
) -> int:
    """
    Return the number of logged requests with the entity.

    Parameters
    ----------
    use_cases
        Use cases whose entity is `column`: of these, `entity_id` is compared, too.
    key
        Key of pseudonyms.
    """
    return len(_matching(connection, column, value, use_cases, key))


def erase_requests(engine: Engine, column: str, value: str, *, use_cases: Sequence[str], key: str) -> int:
    """
    Delete the logged rows of an entity, and return the number of requests that had one.

    A request of several rows keeps those of other entities, with their predictions. Entries of the access
    log lose the entity's pseudonym.
    """
    with engine.begin() as connection:
        is_of_entity = and_(
            access_log.c.use_case.in_(use_cases), access_log.c.entity_hash == pseudonym(value, key)
        )
        connection.execute(update(access_log).where(is_of_entity).values(entity_hash=None))
        matching = _matching(connection, column, value, use_cases, key)
        for request in matching:
            _erase(connection, request, column, _forms(value, key))
    return len(matching)


def _matching(
    connection: Connection, column: str, value: str, use_cases: Sequence[str], key: str
) -> list[RowMapping]:
    log = inference_log.c
    forms = _forms(value, key)
    texts = [str(form) for form in forms]
    conditions: list[Any] = [log.inputs.contains([{column: form}]) for form in forms]
    conditions.append(and_(log.use_case.in_(use_cases), log.entity_id.in_(texts)))
    query = select(inference_log).where(or_(*conditions))
    return list(connection.execute(query).mappings())


def _erase(connection: Connection, request: RowMapping, column: str, forms: Sequence[Any]) -> None:
    identity = inference_log.c.id == request["id"]
    rows = request["inputs"] or []
    remaining = [position for position, row in enumerate(rows) if row.get(column) not in forms]
    if len(rows) <= 1 or not remaining:
        connection.execute(delete(inference_log).where(identity))
        return
    predictions = request["predictions"]
    values = {
        "inputs": [rows[position] for position in remaining],
        "predictions": predictions and [predictions[position] for position in remaining],
        "entity_id": None,
    }
    connection.execute(update(inference_log).where(identity).values(values))


def _forms(value: str, key: str) -> list[Any]:
    """Return how the value may be logged: as text, as a number, and as a pseudonym."""
    number = as_integer(value)
    forms: list[Any] = [value, pseudonym(value, key)]
    return forms if number is None else [*forms, number]


def as_integer(value: str) -> int | None:
    """Return the integer that a value, as text, is; None if it is none."""
    return int(value) if _INTEGER.fullmatch(value) else None
