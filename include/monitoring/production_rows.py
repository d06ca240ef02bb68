"""Newest rows of production, which the training rows of a candidate are compared with."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from include.errors import DataError, PartitionMissing
from include.modeling.evaluation.context import ProductionRows
from include.monitoring import windows
from include.specifications import declared_specification

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from include.data.lake.delta_tables import Lake
    from include.data.snapshots.snapshot import Snapshot
    from include.declarations import UseCase

MAX_REQUESTS = 5_000

log = logging.getLogger(__name__)
SOURCES = {"requests": "rows of the newest requests", "partitions": "newest rows of the features"}


def newest_rows(
    connection: Connection, lake: Lake, use_case: UseCase, snapshot: Snapshot, champion: int | None
) -> ProductionRows | None:
    """
    Return the rows of the newest requests; without requests, 5,000 of the newest rows of the features.

    Personal features are left out: they are not logged, or as pseudonyms. None without any rows.

    Parameters
    ----------
    connection
        Connection to the airworthy database.
    lake
        Lake with the features.
    use_case
        Use case as the snapshot specifies it.
    snapshot
        Snapshot of the candidate.
    champion
        Version that answers; of requests to others, rows without all features are left out.
    """
    specification = snapshot.specification or declared_specification(use_case)
    selection = specification.selection
    try:
        window = windows.read_newest_window(
            connection, lake, use_case, selection, version=champion, limit=MAX_REQUESTS
        )
    except (DataError, PartitionMissing) as error:
        log.warning("The newest rows of %s cannot be read: %s", use_case.name, error)
        return None
    public = [
        name for name in use_case.features if name in window.inputs and not selection.columns[name].personal
    ]
    return ProductionRows(window.inputs[public], SOURCES[window.source])
