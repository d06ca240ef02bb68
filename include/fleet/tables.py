"""Datasets and feature views: who owns them, what the last quality check found, and who reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.database.table_checks import newest_checks
from include.declarations import Dataset
from include.governance import usage

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import Connection

    from include.catalog import Catalog


@dataclass(frozen=True, slots=True)
class TableRow:
    """
    A dataset or a feature view, and its last quality check.

    `partition`, `rows` and `quarantined` are those of the check, `passed` is None before the first one.
    `dag_id` is the DAG that builds the table, `readers` are the views and models that read it.
    """

    name: str
    kind: str
    owner: str
    description: str
    granularity: str
    dag_id: str
    checked_at: datetime | None
    partition: str
    passed: bool | None
    rows: int | None
    quarantined: int | None
    readers: tuple[str, ...]


def read_tables(
    connection: Connection, declared: Catalog, visible: Collection[str] | None = None
) -> list[TableRow]:
    """
    Return a row for each declared dataset and feature view, by name.

    Parameters
    ----------
    visible
        Ids of the DAGs whose tables may be shown; None for all.
    """
    sources = declared.sources
    dag_ids = {name: _dag_id(name, is_dataset=name in declared.datasets) for name in sources}
    names = sorted(name for name in sources if visible is None or dag_ids[name] in visible)
    checks = newest_checks(connection, names)
    rows = []
    for name in names:
        table = declared.declaration(name)
        checked = checks.get(name)
        rows.append(
            TableRow(
                name=name,
                kind="dataset" if isinstance(table, Dataset) else "feature view",
                owner=table.owner,
                description=table.description,
                granularity=str(table.granularity),
                dag_id=dag_ids[name],
                checked_at=checked.at if checked else None,
                partition=checked.partition if checked else "",
                passed=checked.passed if checked else None,
                rows=checked.rows if checked else None,
                quarantined=checked.quarantined if checked else None,
                readers=_users_of(declared, name),
            )
        )
    return rows


def _dag_id(name: str, *, is_dataset: bool) -> str:
    return f"{name}_ingestion" if is_dataset else f"{name}_features"


def _users_of(declared: Catalog, name: str) -> tuple[str, ...]:
    if name in declared.datasets:
        readers = {*usage.views_of_dataset(declared, name), *usage.use_cases_of_dataset(declared, name)}
        return tuple(sorted(readers))
    return tuple(sorted({*usage.views_of_dataset(declared, name), *usage.use_cases_of_view(declared, name)}))
