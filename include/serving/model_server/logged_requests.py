"""Answered requests in the inference log, read to explain them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from include.database.tables import inference_log
from include.errors import DataError
from include.inference import scoring_protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pandas as pd
    from sqlalchemy import Connection

    from include.inference.model import ServedModel

MAX_EXPLAINED_ROWS = 20


def read_request(connection: Connection, use_case: str, request_id: str) -> tuple[int, list[dict[str, Any]]]:
    """
    Return the version that answered a request, and the keys and features of at most 20 of its rows.

    Raises
    ------
    DataError
        If no such request was answered.
    """
    # Of requests with the same id, the newest that was answered.
    query = (
        select(inference_log.c.version, inference_log.c.inputs)
        .where(
            inference_log.c.use_case == use_case,
            inference_log.c.request_id == request_id,
            inference_log.c.role.not_in(("shadow", "replay")),
        )
        .order_by(inference_log.c.status.between(200, 299).desc(), inference_log.c.received_at.desc())
    )
    row = connection.execute(query).first()
    if row is None or not row.inputs:
        raise DataError(f"No request {request_id} to {use_case} is in the inference log.")
    return row.version, row.inputs[:MAX_EXPLAINED_ROWS]


def require_logged_features(use_case: str, hidden: Collection[str]) -> None:
    """
    Check that the inference log has the values of all features.

    Parameters
    ----------
    use_case
        Name of the use case, for the message.
    hidden
        Personal features, whose values are not logged.

    Raises
    ------
    DataError
        If there are such features.
    """
    if hidden:
        raise DataError(
            f"{use_case}: {', '.join(sorted(hidden))} are personal and not in the inference log, so that a "
            "request cannot be explained. Send its rows, or use `airworthy explain --entity`."
        )


def parse_records(model: ServedModel, records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the features of rows, which may have keys beside them, with the types of the model."""
    rows = [_select(row, model.columns) for row in records]
    body = json.dumps({"dataframe_records": rows}).encode()
    request = scoring_protocol.parse_request(body, "application/json", model.columns)
    return scoring_protocol.frame([request], model.columns)


def _select(row: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: row[name] for name in names if name in row}
