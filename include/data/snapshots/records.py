"""Records of snapshots in the airworthy database."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import date
from typing import TYPE_CHECKING

from sqlalchemy import or_
from sqlalchemy.dialects.postgresql import insert

from include.database.tables import snapshot as table

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import ColumnElement, Engine

    from include.data.snapshots.snapshot import Snapshot


def record_snapshot(engine: Engine, snapshot: Snapshot, *, run: str) -> None:
    """Insert a snapshot with the run that created it; an existing record of the same snapshot stays."""
    values = asdict(replace(snapshot, specification=None))
    del values["days"]
    # It stands in the certificate of each version.
    del values["specification"]
    values["run"] = run
    values["excluded_days"] = list(snapshot.excluded_days)
    values["first_day"], values["last_day"] = (date.fromisoformat(day) for day in snapshot.days)
    with engine.begin() as connection:
        connection.execute(insert(table).values(values).on_conflict_do_nothing())


def reads_any(tables: Collection[str]) -> ColumnElement[bool]:
    """Return the condition for recorded snapshots that read one of these tables."""
    joined = (table.c.joined_versions.has_key(name) for name in tables)
    return or_(table.c.feature_view.in_(tables), table.c.label_dataset.in_(tables), *joined)
