"""Reports application with Airflow's own auth manager."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.api_fastapi.core_api.security import get_user

from airworthy.ui.app import airworthy_app, build_app
from include.storage import reports

PATH = "quality/flights/2013-07-01.html"
PAGE = "<html><script>alert(1)</script></html>"


@pytest.fixture
def browser(lake):
    reports.write_report(lake.uri, {}, PATH, PAGE)
    return TestClient(airworthy_app)


@pytest.fixture
def log_in():
    """Return a function that logs in a user with a role, which Airflow checks."""
    create_auth_manager()
    application = build_app()

    def with_role(role):
        user = SimpleAuthManagerUser(username="ann", role=role)
        application.dependency_overrides[get_user] = lambda: user

    yield with_role
    application.dependency_overrides.clear()


def test_report_needs_a_login(browser):
    assert browser.get(f"/reports/{PATH}").status_code == 401


def test_missing_report_is_not_revealed_without_a_login(browser):
    assert browser.get("/reports/nothing.html").status_code == 401


def test_user_without_a_role_is_forbidden(browser, log_in):
    log_in(None)
    assert browser.get(f"/reports/{PATH}").status_code == 403


def test_viewer_sees_the_report(browser, log_in):
    log_in("viewer")
    response = browser.get(f"/reports/{PATH}")
    assert (response.status_code, response.text) == (200, PAGE)
    assert response.headers["content-type"].startswith("text/html")


def test_report_is_sandboxed(browser, log_in):
    log_in("viewer")
    headers = browser.get(f"/reports/{PATH}").headers
    rules = dict(rule.strip().partition(" ")[::2] for rule in headers["content-security-policy"].split(";"))
    assert "allow-same-origin" not in rules["sandbox"]
    assert rules["default-src"] == "'none'"
    assert "connect-src" not in rules
    assert "form-action" not in rules
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["nothing.html", "../secrets.html", "..%2F..%2Fsecrets.html", "%2Fetc%2Fpasswd"]
)
def test_other_paths_are_not_found(browser, log_in, path):
    log_in("viewer")
    assert browser.get(f"/reports/{path}").status_code == 404


def test_pages_that_load_scripts_from_outside_are_absent(browser, log_in):
    log_in("viewer")
    assert {browser.get(path).status_code for path in ("/docs", "/redoc")} == {404}
