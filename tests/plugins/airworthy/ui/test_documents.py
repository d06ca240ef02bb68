"""Pages of the documentation in Airflow, with Airflow's own auth manager."""

from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient

from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.api_fastapi.core_api.security import get_user

from airworthy.ui import documents
from airworthy.ui.app import airworthy_app, build_app

RUNBOOK = "/docs/runbooks/gate-refused.md"


@pytest.fixture
def browser():
    """Return a client of a logged-in viewer."""
    create_auth_manager()
    application = build_app()
    user = SimpleAuthManagerUser(username="ann", role="viewer")
    application.dependency_overrides[get_user] = lambda: user
    yield TestClient(airworthy_app)
    application.dependency_overrides.clear()


def test_document_needs_a_login():
    assert TestClient(airworthy_app).get(RUNBOOK).status_code == 401


def test_runbook_is_a_page_with_tables_and_links(browser):
    response = browser.get(RUNBOOK)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert '<h1 id="gate-refused">Gate refused</h1>' in response.text
    assert "<table>" in response.text
    assert 'href="../how-to/gates.md#mandatory-gates"' in response.text


def test_links_of_a_runbook_lead_to_pages_and_headings(browser):
    for file in (documents.DOCS / "runbooks").glob("*.md"):
        folder = f"/docs/runbooks/{file.name}"
        for path, anchor in re.findall(
            r'href="(\.\./[^"#]+|[a-z-]+\.md)(#[^"]+)?"', browser.get(folder).text
        ):
            linked = browser.get(f"/docs/runbooks/{path}")
            assert linked.status_code == 200, f"{file.name}: {path}"
            assert not anchor or f'id="{anchor[1:]}"' in linked.text, f"{file.name}: {path}{anchor}"


def test_picture_of_a_page_is_shown(browser):
    assert browser.get("/docs/pictures/model.png").headers["content-type"] == "image/png"


@pytest.mark.parametrize(
    "path", ["nothing.md", "..%2FREADME.md", "%2Fetc%2Fpasswd", "runbooks", "examples/run_dag.py"]
)
def test_other_files_are_not_found(browser, path):
    assert browser.get(f"/docs/{path}").status_code == 404


def test_markup_is_text_and_absent_pages_are_no_links(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A\n\n<script>alert(1)</script> [b](absent.md) [c](page.md) <!-- d -->\n")
    assert documents.render_document(page) == (
        '<h1 id="a">A</h1>\n<p>&lt;script&gt;alert(1)&lt;/script&gt; b <a href="page.md">c</a></p>\n'
    )
