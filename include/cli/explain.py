"""`python -m include.cli.explain flight_delay --request <id>`: why one prediction is what it is."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from include.catalog import catalog
from include.data.lake.delta_tables import Lake
from include.database.tables import connect, inference_log
from include.errors import AirworthyError, DataError, ReleaseError
from include.inference import scoring_protocol
from include.modeling.explainability.shapley import attribute, background
from include.modeling.registry import load_version
from include.modeling.registry.registry import Registry
from include.release import rollout
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from sqlalchemy import Connection

    from include.inference.model import ServedModel
    from include.modeling.explainability.shapley import Attribution

MOST_ROWS = 20


def of_request(connection: Connection, use_case: str, request_id: str) -> tuple[int, bytes]:
    """
    Return the version that answered a request, and what it was asked, as a request.

    :raises DataError: if no such request was answered
    """
    query = select(inference_log.c.version, inference_log.c.inputs).where(
        inference_log.c.use_case == use_case,
        inference_log.c.request_id == request_id,
        inference_log.c.role != "shadow",
    )
    row = connection.execute(query).first()
    if row is None or not row.inputs:
        raise DataError(f"No request {request_id} to {use_case} stands in the inference log.")
    return row.version, json.dumps({"dataframe_records": row.inputs[:MOST_ROWS]}).encode()


def of_entity(lake: Lake, use_case: str, entity: str, day: date | None) -> pd.DataFrame:
    """
    Return the newest row of the feature view about an entity, or that of a day.

    :raises DataError: if there is none
    """
    declared = catalog()
    view = declared.feature_views[declared.use_cases[use_case].feature_view]
    columns = [view.entity, view.time, *declared.use_cases[use_case].features]
    rows = lake.read(view.name, None if day is None else [day], columns=columns)
    found = rows[rows[view.entity].astype(str) == entity].sort_values(view.time).tail(1)
    if found.empty:
        raise DataError(
            f"{view.name} has no row of {view.entity} {entity}{'' if day is None else f' on {day}'}."
        )
    return found


def explain(
    use_case: str, *, version: int | None, request: str | None, entity: str | None, day: date | None
) -> tuple[int, list[Attribution]]:
    """
    Return the version that was asked and the attribution of each row.

    :raises ReleaseError: if the use case has no champion, and no version is given
    """
    engine, body = connect(settings().database_url), None
    with engine.connect() as connection:
        if request is not None:
            version, body = of_request(connection, use_case, request)
        elif version is None:
            version = rollout.read_state(connection, use_case).champion
    if version is None:
        raise ReleaseError(f"{use_case} has no champion yet: name a version.")
    with TemporaryDirectory(prefix="airworthy-") as place:
        folder = Path(place) / "model"
        registry, trusted = Registry(settings().mlflow_uri), settings().trusted_keys
        model = load_version.load_version(registry, use_case, version, folder=folder, trusted=trusted).model
        if body is None:
            rows = of_entity(Lake(settings().lake_uri), use_case, entity or "", day)
        else:
            rows = _rows(model, body)
        return version, attribute(model, background(folder, model), rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what each feature contributed; return 1 if it cannot be said."""
    parser = argparse.ArgumentParser(prog="python -m include.cli.explain", description=__doc__)
    parser.add_argument("use_case", choices=sorted(catalog().use_cases))
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--request", help="the X-Request-Id of an answer")
    asked.add_argument("--entity", help="a key of the feature view, such as a flight's id")
    parser.add_argument("--day", type=date.fromisoformat, help="the entity's day (default: its newest row)")
    parser.add_argument("--version", type=int, help="default: the version that answered, or the champion")
    given = parser.parse_args(arguments)
    try:
        version, found = explain(
            given.use_case, version=given.version, request=given.request, entity=given.entity, day=given.day
        )
    except AirworthyError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    console = Console(highlight=False)
    for each in found:
        console.print(f"{given.use_case} version {version}: {each.prediction:.6g}, usually {each.base:.6g}")
        console.print(_table(each))
    return 0


def _rows(model: ServedModel, body: bytes) -> pd.DataFrame:
    return scoring_protocol.frame(
        [scoring_protocol.parse_request(body, "application/json", model.columns)], model.columns
    )


def _table(attribution: Attribution) -> Table:
    table = Table("feature", "contribution", box=None, pad_edge=False)
    for name, value in sorted(attribution.contributions.items(), key=lambda pair: -abs(pair[1])):
        table.add_row(name, f"{value:+.6f}")
    return table


if __name__ == "__main__":
    raise SystemExit(main())
