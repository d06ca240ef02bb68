"""The pages of the fleet in Chromium, with 1,000 models: size, phone, keyboard, accessibility, markup."""

from __future__ import annotations

import shutil
import socket
import threading
import uuid

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright
from sqlalchemy import insert, text

from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.api_fastapi.core_api.security import get_user

from airworthy.ui import visibility
from airworthy.ui.app import build_app
from include.database.tables import access_log, desired_state, ledger, monitoring_result
from include.release import controls, rollout
from tests.conftest import wait_until

CHROMIUM = shutil.which("chromium")
NAME = "flight_delay"
MARKUP = "<img src=x onerror=alert(1)>"
PATHS = ("/", f"/models/{NAME}", "/tables")
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1400, "height": 900}
TIMEOUT_MS = 60_000
MAX_PAGE_BYTES = 500_000
N_MODELS = 1_000
# What Airflow answers to each request, unless a test says more.
NOTHING = {"hitl_details": [], "task_instances": [], "task_state_store": []}
NO_STATE = {}
TASK = {
    "id": "ti-1",
    "dag_id": f"{NAME}_deployment",
    "dag_run_id": "manual__1",
    "task_id": "approve",
    "map_index": -1,
    "rendered_map_index": None,
    "state": "running",
    "start_date": "2026-05-03T10:00:00Z",
}

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def request(request_id):
    versions = {"first_version": 1, "version": 1, "retries": 0, "redispatched": False, "eligible": True}
    caller = {"use_case": NAME, "endpoint": "invocations", "caller": "", "client": "127.0.0.1"}
    answer = {"status": 200, "termination": "--", "latency_ms": 5.0, "bytes_in": 1, "bytes_out": 1}
    identity = {"id": uuid.uuid4(), "request_id": str(request_id), "received_at": text("clock_timestamp()")}
    return identity | versions | caller | answer


def write_fleet(engine):
    """Write 1,000 models with a champion, and one with requests, checks and a name with markup."""
    names = [f"model_{number:04}" for number in range(N_MODELS - 1)] + [MARKUP, NAME]
    entries = [
        {"use_case": name, "event": "promoted", "version": 1, "actor": "nightly", "reason": MARKUP}
        for name in names
    ]
    window = {"window_start": "2013-07-01+00", "window_end": "2013-07-02+00", "version": 1}
    figures = {
        "drift": {
            "outcome": "drift",
            "reason": MARKUP,
            "share": 0.5,
            "columns": {"temp": True, "hour": False},
        },
        "quality": {"outcome": "good", "labelled": 500, "completeness": 0.9, "skill": 0.2, "reason": ""},
        "service": {"outcome": "met", "requests": 10, "budget_left": 0.9, "latency_p99": 12.0},
        "decision": {"action": "nothing", "reason": "no signal"},
    }
    with engine.begin() as connection:
        connection.execute(insert(desired_state), [{"use_case": name, "champion": 1} for name in names])
        connection.execute(insert(ledger), entries)
        for number in range(20):
            connection.execute(insert(access_log).values(request(number)))
            check = {"use_case": NAME, "run": str(number), "figures": figures, "decision": "nothing"}
            connection.execute(insert(monitoring_result), window | check)


@pytest.fixture
def address(database, monkeypatch):
    """Serve the pages to a logged-in viewer and return their address."""
    write_fleet(database)
    manager = create_auth_manager()
    monkeypatch.setattr(visibility, "database", lambda: database)
    monkeypatch.setattr(visibility, "get_auth_manager", lambda: manager)
    application = build_app()
    viewer = SimpleAuthManagerUser(username="ann", role="viewer")
    application.dependency_overrides[get_user] = lambda: viewer
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    wait_until(lambda: server.started, 30, "the pages")
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    application.dependency_overrides.clear()


@pytest.fixture
def open_page(chromium, address):
    """Return a function that opens a page and collects the errors of its console in `errors`."""
    contexts = []

    def open_one(path, airflow=NO_STATE, **options):
        context = chromium.new_context(viewport=options.pop("viewport", DESK), **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("dialog", lambda dialog: page.errors.append(f"dialog {dialog.message}") or dialog.dismiss())
        # Airflow is not part of this test, and says so with 404.
        page.route("**/api/v2/**", lambda route: route.fulfill(json=NOTHING | airflow))
        page.on("console", lambda message: message.type == "error" and page.errors.append(message.text))
        page.goto(address + path)
        page.wait_for_selector("h1")
        if path.startswith("/models"):
            wait_until(lambda: page.get_by_text("Loading …").count() == 0, 60, "all panels")
        return page

    yield open_one
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PATHS)
def test_page_is_accessible_and_without_errors(open_page, path, scheme):
    page = open_page(path, color_scheme=scheme)
    result = Axe().run(page).response["violations"]
    serious = [
        (item["id"], item["nodes"][0]["html"]) for item in result if item["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert page.errors == []
    assert page.locator(".error").count() == 0


@pytest.mark.parametrize("path", PATHS)
def test_page_is_small_and_fits_a_phone(open_page, path):
    page = open_page(path, viewport=PHONE)
    widths = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1]
    sizes = page.evaluate("performance.getEntries().map(entry => entry.transferSize || 0)")
    assert 0 < sum(sizes) < MAX_PAGE_BYTES


def test_thousand_models_are_searched_sorted_and_paged(open_page):
    page = open_page("/")
    assert page.locator("caption").inner_text().startswith(f"{N_MODELS + 1 + 2} models, page 1 of")
    page.get_by_role("link", name="Next").click()
    page.get_by_role("link", name="Previous").wait_for()
    page.get_by_label("Search").fill("model_0042")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="model_0042").wait_for()
    assert page.locator("tbody tr").count() == 1


def test_name_with_markup_is_shown_as_text(open_page):
    page = open_page("/?search=onerror")
    page.get_by_role("link", name=MARKUP).wait_for()
    assert page.locator("tbody img").count() == 0
    assert page.errors == []


def test_charts_are_drawn(open_page):
    page = open_page(f"/models/{NAME}")
    charts = page.locator("img.chart")
    loaded = "images => images.length >= 4 && images.every(image => image.naturalWidth > 0)"
    wait_until(lambda: charts.evaluate_all(loaded), 60, "the charts")
    assert page.errors == []


def test_keyboard_reaches_the_content_first(open_page):
    page = open_page("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"


def test_facts_and_actions_follow_the_state(open_page, database):
    page = open_page(f"/models/{NAME}")
    page.get_by_role("button", name="Freeze").wait_for()
    assert page.get_by_role("button", name="Lift").count() == 0
    controls.freeze(database, NAME, actor="ann", reason="holidays")
    page.get_by_role("button", name="Lift").wait_for()
    assert "holidays" in page.locator("#facts").inner_text()
    page.locator("#reason-lift").fill("they are over")
    controls.lift(database, NAME, actor="ann", reason="back")
    wait_until(lambda: "holidays" not in page.locator("#facts").inner_text(), 60, "the facts")
    # What a person types is not taken from them.
    assert page.locator("#reason-lift").input_value() == "they are over"


@pytest.mark.parametrize(("state", "text"), [("success", "Freeze: done."), ("failed", "Freeze failed.")])
def test_action_says_how_its_run_ended(open_page, state, text):
    page = open_page(f"/models/{NAME}")
    sent = []
    run = {"dag_id": f"{NAME}_controls", "dag_run_id": "manual__1", "state": state}

    def answer(route):
        sent.append(route.request.post_data_json)
        route.fulfill(json=run)

    page.route("**/api/v2/dags/*/dagRuns*", answer)
    page.route("**/api/v2/dags/*/dagRuns/manual__1", lambda route: route.fulfill(json=run))
    page.locator("#reason-freeze").fill("holidays")
    page.get_by_role("button", name="Freeze").click()
    message = page.locator("#message")
    message.get_by_text(text).wait_for()
    assert sent == [{"logical_date": None, "conf": {"reason": "holidays", "action": "freeze"}}]
    link = message.get_by_role("link", name="See the run").get_attribute("href")
    assert link == f"/dags/{NAME}_controls/runs/manual__1"
    message.get_by_role("button", name="Close").click()
    assert message.is_hidden()


def test_live_panel_shows_new_requests(open_page, database):
    page = open_page(f"/models/{NAME}")
    page.get_by_role("cell", name="20", exact=True).wait_for()
    with database.begin() as connection:
        connection.execute(insert(access_log).values(request("new")))
    page.get_by_role("cell", name="21", exact=True).wait_for()


def test_running_task_shows_how_far_it_is(open_page):
    report = {"step": "arrivals: validated", "done": 1_100, "total": 4_400, "unit": "rows"}
    store = [{"key": "progress", "value": report, "updated_at": "2026-05-03T10:00:09Z"}]
    page = open_page(f"/models/{NAME}", {"task_instances": [TASK], "task_state_store": store})
    bar = page.get_by_role("progressbar", name="arrivals: validated: 1,100 of 4,400 rows (25 %)")
    bar.wait_for()
    assert bar.evaluate("bar => bar.value / bar.max") == 0.25
    assert page.errors == []


def test_version_is_chosen_from_the_registered_ones(open_page, database):
    with database.begin() as connection:
        trained = {"use_case": NAME, "event": "registered", "version": 7, "actor": "ann", "reason": "passed"}
        connection.execute(insert(ledger).values(trained))
    page = open_page(f"/models/{NAME}")
    page.route("**/choices", lambda route: route.fulfill(json={"versions": [7], "partitions": []}))
    sent = []
    run = {"dag_id": f"{NAME}_deployment", "dag_run_id": "manual__1", "state": "success"}
    page.route(
        "**/dagRuns", lambda route: sent.append(route.request.post_data_json) or route.fulfill(json=run)
    )
    version = page.locator("#version-deploy")
    version.focus()
    page.locator("#versions option[value='7']").wait_for(state="attached")
    version.fill("7")
    page.get_by_role("button", name="Deploy").click()
    page.get_by_text("Deploy: ").wait_for()
    assert sent == [{"logical_date": None, "conf": {"version": 7}}]


QUESTION = {
    "task_instance": TASK,
    "subject": "Approve the release?",
    "options": ["Approve", "Reject"],
    "defaults": ["Reject"],
    "params": {"reason": {}},
    "created_at": "2026-05-03T10:00:00Z",
}


def test_rejection_needs_a_reason(open_page, database):
    lease = rollout.begin(database, NAME, 2, owner=f"{NAME}_deployment/manual__1", actor="ann")
    page = open_page(f"/models/{NAME}", {"hitl_details": [QUESTION]})
    sent = []
    page.route(
        "**/hitlDetails",
        lambda route: sent.append(route.request.post_data_json) or route.fulfill(json={}),
    )
    question = page.locator(".question").first
    question.get_by_role("button", name="Reject").click()
    assert sent == []
    question.get_by_label("Reason").fill("too slow")
    question.get_by_role("button", name="Reject").click()
    page.get_by_text("Your answer is: Reject.").wait_for()
    assert sent == [{"chosen_options": ["Reject"], "params_input": {"reason": "too slow"}}]
    rollout.restore(database, lease, owner=f"{NAME}_deployment/manual__1", actor="ann", reason="slow")
    question.get_by_text("An answer has no effect: its rollout has ended").wait_for()
    assert question.get_by_role("button").all_inner_texts() == ["End its run"]
