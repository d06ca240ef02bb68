"""What a user may see: the models and tables whose DAGs Airflow's auth manager lets them read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, HTTPException

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import get_user

from airworthy.hooks.airworthy_database import AirworthyDatabaseHook
from airworthy.hooks.lake import LakeHook
from include.catalog import catalog
from include.database.ledger import versions_in_ledger
from include.fleet import overview, tables
from include.fleet.panels import PANELS, Panel
from include.fleet.step_progress import read_step_progress
from include.governance import usage
from include.partitions import format_partition

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from include.fleet.overview import FleetEntry
    from include.fleet.panel_content import PanelContent
    from include.fleet.step_progress import StepProgress
    from include.fleet.tables import TableRow

# The DAG of each is `<model>_<stage>`.
MODEL_STAGES = ("training", "deployment", "scoring", "monitoring", "rollback", "controls")
# Of each kind; a day's hours are 24 of them.
MAX_CHOICES = 1_000
# A request without a login gets 401.
User = Annotated[Any, Depends(get_user)]


def database() -> Engine:
    """Return the engine of the connection `airworthy_db`."""
    return AirworthyDatabaseHook().engine


def readable_dags(dag_ids: set[str], user: Any) -> set[str]:
    """Return the ids that the user may read, as Airflow's auth manager decides."""
    return get_auth_manager().filter_authorized_dag_ids(dag_ids=dag_ids, user=user, method="GET")


def visible_fleet(user: Any) -> list[FleetEntry]:
    """Return the models whose training DAG the user may read, by name."""
    with database().connect() as connection:
        entries = overview.read_fleet(connection, catalog().use_cases)
    readable = readable_dags({training_dag(entry.name) for entry in entries}, user)
    return [entry for entry in entries if training_dag(entry.name) in readable]


def visible_model(name: str, user: Any) -> FleetEntry:
    """
    Return a model.

    Raises
    ------
    HTTPException
        404 if there is no model of this name, or the user may not see it.
    """
    entries = []
    if readable_dags({training_dag(name)}, user):
        with database().connect() as connection:
            entries = overview.read_fleet(connection, catalog().use_cases, {name})
    if not entries:
        raise HTTPException(404, f"There is no model {name}, or your roles do not show it.")
    return entries[0]


def read_panel(name: str, panel: str, user: Any) -> tuple[Panel, PanelContent]:
    """
    Return a panel of a model's page and what it shows.

    Raises
    ------
    HTTPException
        404 if there is no such model or panel for the user.
    """
    visible_model(name, user)
    panels = {existing.name: existing for existing in PANELS}
    if panel not in panels:
        raise HTTPException(404, f"There is no panel {panel}; one of {', '.join(panels)}.")
    with database().connect() as connection:
        return panels[panel], panels[panel].read(connection, name)


def visible_step_progress(name: str, user: Any) -> StepProgress | None:
    """
    Return the present step of a model's rollout; None if there is none, or it is not declared any more.

    Raises
    ------
    HTTPException
        404 if there is no such model for the user.
    """
    visible_model(name, user)
    use_case = catalog().use_cases.get(name)
    if use_case is None:
        return None
    with database().connect() as connection:
        return read_step_progress(connection, use_case)


def choices_of_model(name: str, user: Any) -> dict[str, list[Any]]:
    """
    Return the newest `versions` and `partitions` of a model, the newest first.

    Raises
    ------
    HTTPException
        404 if there is no such model for the user.
    """
    visible_model(name, user)
    use_case = catalog().use_cases.get(name)
    with database().connect() as connection:
        versions = versions_in_ledger(connection, name, limit=MAX_CHOICES)
    published = LakeHook().lake.partitions(use_case.feature_view) if use_case else []
    newest = [format_partition(partition) for partition in reversed(published[-MAX_CHOICES:])]
    return {"versions": versions, "partitions": newest}


def dags_of_model(name: str, user: Any) -> list[str]:
    """Return the DAGs that work for a declared model, from ingestion on, and that the user may read."""
    use_case = catalog().use_cases.get(name)
    if use_case is None:
        return []
    datasets = usage.datasets_of_use_case(catalog(), use_case)
    stages = (f"{name}_{stage}" for stage in MODEL_STAGES)
    views = (f"{view}_features" for view in use_case.feature_views)
    return sorted(readable_dags({*stages, *views, *(f"{name}_ingestion" for name in datasets)}, user))


def visible_tables(user: Any) -> list[TableRow]:
    """Return the datasets and feature views whose DAG the user may read, by name."""
    with database().connect() as connection:
        rows = tables.read_tables(connection, catalog())
    readable = readable_dags({row.dag_id for row in rows}, user)
    return [row for row in rows if row.dag_id in readable]


def training_dag(name: str) -> str:
    """Return the DAG that stands for a model."""
    return f"{name}_training"
