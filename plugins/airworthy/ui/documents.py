"""Pages of `docs/` in Airflow, such as the runbooks that a red task names, for users logged in to Airflow."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import requires_access_view

from airworthy.ui.fleet_pages import HEADERS, respond_page

if TYPE_CHECKING:
    from markdown_it.token import Token

DOCS = Path(__file__).parents[3] / "docs"
# The type of what a page shows beside its text.
PICTURES = {".png": "image/png", ".svg": "image/svg+xml"}
COMMENT = re.compile(r"<!--.*?-->\s*", re.DOTALL)

router = APIRouter(dependencies=[Depends(requires_access_view(AccessView.WEBSITE))], include_in_schema=False)


@router.get("/docs/{path:path}")
def show_document(request: Request, path: str) -> Response:
    """Return a page of the documentation, or a picture of one."""
    file = (DOCS / path).resolve()
    if not file.is_relative_to(DOCS) or file.suffix not in {".md", *PICTURES} or not file.is_file():
        raise HTTPException(404, f"There is no page docs/{path}.")
    if file.suffix in PICTURES:
        return Response(file.read_bytes(), media_type=PICTURES[file.suffix], headers=HEADERS)
    title = file.read_text().partition("\n")[0].removeprefix("# ")
    return respond_page(request, "document.html.jinja", title=title, text=render_document(file))


def render_document(file: Path) -> str:
    """Return a page of Markdown as HTML; markup in it is text, and links to absent pages are not links."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(COMMENT.sub("", file.read_text()))
    for heading, content in pairwise(tokens):
        if heading.type == "heading_open":
            heading.attrSet("id", _anchor(content.content))
    for token in tokens:
        token.children = _without_absent_pages(token.children, file.parent) if token.children else None
    html: str = parser.renderer.render(tokens, parser.options, {})
    return html


def _anchor(heading: str) -> str:
    """Return the anchor of a heading as the site has it."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


def _without_absent_pages(tokens: list[Token], folder: Path) -> list[Token]:
    """Return the tokens of a line without the links to pages that the site generates."""
    retained: list[Token] = []
    is_absent = False
    for token in tokens:
        if token.type == "link_open":
            target: Any = token.attrGet("href") or ""
            path = target.partition("#")[0]
            is_absent = bool(path) and "://" not in path and not (folder / path).is_file()
        if not (is_absent and token.type in {"link_open", "link_close"}):
            retained.append(token)
    return retained
