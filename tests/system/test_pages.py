"""The pages of the fleet in a browser, inside Airflow's navigation, on the running stack."""

from __future__ import annotations

import shutil

import httpx
import pytest
from playwright.sync_api import sync_playwright

from include.credentials import admin_login

CHROMIUM = shutil.which("chromium")
NAME = "flight_delay"
DESK = {"width": 1400, "height": 900}
TIMEOUT_MS = 90_000

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(900),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def token(stack):
    user, password = admin_login(stack.root)
    body = {"username": user, "password": password}
    response = httpx.post(f"{stack.airflow_uri}/auth/token", json=body, timeout=60, trust_env=False)
    response.raise_for_status()
    return response.json()["access_token"]


@pytest.fixture
def open_page(chromium, stack, token):
    """Return a function that opens a page as admin and collects the errors of its console in `errors`."""
    contexts = []

    def open_one(path, **options):
        context = chromium.new_context(viewport=options.pop("viewport", DESK), **options)
        contexts.append(context)
        context.add_cookies([{"name": "_token", "value": token, "url": stack.airflow_uri}])
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("console", lambda message: message.type == "error" and page.errors.append(message.text))
        page.goto(stack.airflow_uri + path)
        return page

    yield open_one
    for context in contexts:
        context.close()


def frame_of(page):
    """Return the frame of our page inside Airflow's."""
    page.wait_for_selector("iframe")
    return page.frame_locator("iframe")


def test_menu_entry_opens_the_fleet_and_a_model(open_page):
    page = open_page("/plugin/models")
    frame = frame_of(page)
    frame.get_by_role("link", name=NAME, exact=True).click()
    frame.get_by_role("heading", name="Traffic now").wait_for()
    frame.get_by_text("Loading …").first.wait_for(state="detached")
    assert frame.locator(".error").count() == 0
    assert page.errors == []


def test_link_in_the_frame_opens_the_dag_in_airflow(open_page):
    page = open_page("/plugin/models")
    frame = frame_of(page)
    frame.get_by_role("link", name=NAME, exact=True).click()
    frame.get_by_role("link", name="Training runs").click()
    page.wait_for_url(f"**/dags/{NAME}_training")
    page.get_by_text(f"{NAME}_training").first.wait_for()


def test_menu_entry_opens_the_tables(open_page):
    page = open_page("/plugin/model-data")
    frame_of(page).get_by_role("link", name="arrivals", exact=True).wait_for()
    assert page.errors == []


def test_action_says_what_airflow_answered(open_page):
    page = open_page(f"/airworthy/models/{NAME}")
    page.get_by_role("heading", name="Actions").wait_for()
    page.route(
        "**/api/v2/dags/*/dagRuns", lambda route: route.fulfill(status=403, json={"detail": "Forbidden"})
    )
    page.get_by_role("button", name="Retrain").click()
    page.get_by_text("Retrain failed: your roles in Airflow do not allow it.").wait_for()
