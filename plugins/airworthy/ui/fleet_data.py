"""Data of the fleet as JSON, for scripts; a user sees what their roles in Airflow allow."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query

from airworthy.ui import visibility
from airworthy.ui.visibility import User
from include.fleet.overview import MAX_PAGE_ROWS, FleetEntry, select_page
from include.fleet.panel_content import PanelContent
from include.fleet.step_progress import StepProgress

MAX_SEARCH = 200

router = APIRouter(prefix="/api", tags=["fleet"])


@router.get("/models", summary="All models, one page of them")
def fleet_data(
    user: User,
    search: Annotated[str, Query(max_length=MAX_SEARCH)] = "",
    sort: str = "name",
    page: Annotated[int, Query(ge=1)] = 1,
    rows: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = 50,
    *,
    descending: bool = False,
) -> dict[str, Any]:
    """Return `models`, their number `total` on all pages, and the number of `pages`."""
    entries = visibility.visible_fleet(user)
    try:
        selected = select_page(entries, search=search, sort=sort, descending=descending, page=page, rows=rows)
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
    return {
        "models": selected.entries,
        "total": selected.total,
        "page": selected.page,
        "pages": selected.pages,
    }


@router.get("/models/{name}", summary="One model")
def model_data(name: str, user: User) -> FleetEntry:
    """Return a model."""
    return visibility.visible_model(name, user)


@router.get("/models/{name}/panels/{panel}", summary="A part of a model's page")
def panel_data(name: str, panel: str, user: User) -> PanelContent:
    """Return the table, the note and the charts of a part."""
    return visibility.read_panel(name, panel, user)[1]


@router.get("/models/{name}/rollout", summary="The present step of a model's rollout")
def rollout_data(name: str, user: User) -> StepProgress | None:
    """Return how many requests the step has got and needs; null if there is no rollout."""
    return visibility.visible_step_progress(name, user)


@router.get("/models/{name}/choices", summary="Versions and partitions that a run may name")
def choices_data(name: str, user: User) -> dict[str, list[Any]]:
    """Return the newest registered `versions`, and the newest published `partitions` of the features."""
    return visibility.choices_of_model(name, user)


@router.get("/tables", summary="All datasets and feature views")
def tables_data(user: User) -> dict[str, Any]:
    """Return `tables`."""
    return {"tables": visibility.visible_tables(user)}
