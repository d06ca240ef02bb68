"""Pages of the fleet in Airflow: all models, one model, all datasets and feature views."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Query, Request, Response
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from airworthy.ui import visibility
from airworthy.ui.actions import ACTIONS
from airworthy.ui.fleet_data import MAX_SEARCH
from airworthy.ui.visibility import User
from include.catalog import catalog
from include.fleet.charts import draw_chart
from include.fleet.overview import select_page
from include.fleet.panels import PANELS
from include.settings import settings

if TYPE_CHECKING:
    from airworthy.ui.actions import Action
    from include.fleet.overview import FleetEntry

FOLDER = Path(__file__).parent
ASSETS = {"page.css": "text/css", "page.js": "text/javascript"}
# The page's own files only: a name or a text from outside cannot add a script, and no other site frames it.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
MOUNT = "/airworthy"

router = APIRouter(include_in_schema=False)


@router.get("/")
def show_fleet(
    request: Request,
    user: User,
    search: Annotated[str, Query(max_length=MAX_SEARCH)] = "",
    sort: str = "name",
    page: Annotated[int, Query(ge=1)] = 1,
    *,
    descending: bool = False,
) -> Response:
    """Return the page of all models."""
    entries = visibility.visible_fleet(user)
    try:
        selected = select_page(entries, search=search, sort=sort, descending=descending, page=page)
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
    values = {"search": search, "sort": sort, "descending": descending}
    return respond_page(request, "fleet.html.jinja", selected=selected, n_models=len(entries), **values)


@router.get("/models/{name}")
def show_model_page(request: Request, name: str, user: User) -> Response:
    """Return the page of one model; its panels are loaded one by one."""
    model = visibility.visible_model(name, user)
    actions = available_actions(model) if model.declared else []
    return respond_page(
        request,
        "model.html.jinja",
        model=model,
        panels=PANELS,
        actions=actions,
        dags=visibility.dags_of_model(name, user),
        mlflow=f"{settings().mlflow_public_uri}/#/models/{quote(name)}",
    )


def available_actions(model: FleetEntry) -> list[Action]:
    """Return the actions that are possible in the present state of a declared model."""
    is_off = model.status == "switched off"
    is_free = model.challenger is None and not model.frozen and not is_off
    states = {
        "declared": True,
        "deployable": is_free and model.verdict != "",
        "scored": model.champion is not None and catalog().use_cases[model.name].label.time is None,
        "previous": model.previous is not None,
        "challenger": model.challenger is not None,
        "moving": model.challenger is not None and not model.paused,
        "paused": model.challenger is not None and model.paused,
        "frozen": bool(model.frozen),
        "not frozen": not model.frozen,
        "on": model.champion is not None and not is_off,
        "off": is_off,
    }
    return [action for action in ACTIONS if states[action.needs]]


@router.get("/models/{name}/panels/{panel}")
def show_panel_part(request: Request, name: str, panel: str, user: User) -> Response:
    """Return a part of a model's page."""
    shown, content = visibility.read_panel(name, panel, user)
    return respond_page(request, "panel.html.jinja", model=name, panel=shown, content=content)


@router.get("/models/{name}/panels/{panel}/charts/{number}.svg")
def show_chart(name: str, panel: str, number: int, user: User) -> Response:
    """Return a chart of a panel."""
    charts = visibility.read_panel(name, panel, user)[1].charts
    if not 0 <= number < len(charts):
        raise HTTPException(404, f"The panel {panel} has {len(charts)} charts.")
    return Response(draw_chart(charts[number]), media_type="image/svg+xml", headers=HEADERS)


@router.get("/tables")
def show_tables(request: Request, user: User) -> Response:
    """Return the page of all datasets and feature views."""
    return respond_page(request, "tables.html.jinja", tables=visibility.visible_tables(user))


@router.get("/static/{name}")
def show_asset(name: str) -> Response:
    """Return the style or the script of the pages, which hold no data."""
    if name not in ASSETS:
        raise HTTPException(404, f"There is no file {name}.")
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "max-age=300"}
    return Response((FOLDER / "static" / name).read_bytes(), media_type=ASSETS[name], headers=headers)


def respond_page(request: Request, template: str, **values: Any) -> Response:
    """Return a page of a template, which gets the addresses of the plugin and of Airflow."""
    root = str(request.scope.get("root_path", "")).rstrip("/")
    places = {"root": root, "airflow": root.removesuffix(MOUNT)}
    content = _templates().get_template(template).render(**places, **values)
    return Response(content, media_type="text/html", headers=HEADERS)


@cache
def _templates() -> Environment:
    environment = Environment(loader=FileSystemLoader(FOLDER / "pages"), autoescape=True, trim_blocks=True)
    environment.filters["moment"] = _as_moment
    return environment


def _as_moment(value: Any) -> Any:
    """Return a time as an element that the script shows in the reader's zone; other values as they are."""
    if not isinstance(value, datetime):
        return "" if value is None else value
    return Markup('<time datetime="{}">{:%Y-%m-%d %H:%M} UTC</time>').format(value.isoformat(), value)
