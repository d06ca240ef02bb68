"""Pages and data of the fleet with Airflow's own auth manager."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

import pandas as pd
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert

from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.api_fastapi.core_api.security import get_user

from airworthy.ui import fleet_pages, visibility
from airworthy.ui.app import airworthy_app, build_app
from include.database.ledger import Entry, append
from include.database.tables import gate_result
from include.declarations.base import DAY_COLUMN
from include.fleet import panels
from include.release import controls, rollout

NAME = "flight_delay"
MARKUP = "<script>alert(1)</script>"


@pytest.fixture
def browser(database, monkeypatch):
    """Return a client of a logged-in viewer; version 1 is the champion, for a reason with markup."""
    monkeypatch.setattr(visibility, "database", lambda: database)
    with database.begin() as connection:
        append(connection, Entry(NAME, "registered", "nightly", MARKUP, 1))
    lease = rollout.begin(database, NAME, 1, owner="run-1", actor="nightly")
    rollout.promote(database, lease, reason=MARKUP, evidence={})
    manager = create_auth_manager()
    application = build_app()
    user = SimpleAuthManagerUser(username="ann", role="viewer")
    application.dependency_overrides[get_user] = lambda: user
    monkeypatch.setattr(visibility, "get_auth_manager", lambda: manager)
    yield TestClient(airworthy_app)
    application.dependency_overrides.clear()


@pytest.mark.parametrize(
    "path", ["/", "/tables", f"/models/{NAME}", "/api/models", f"/api/models/{NAME}", "/api/tables"]
)
def test_page_needs_a_login(path):
    assert TestClient(airworthy_app).get(path).status_code == 401


def test_fleet_shows_the_champion_and_links_to_its_page(browser):
    response = browser.get("/")
    assert response.status_code == 200
    assert f'href="/models/{NAME}"' in response.text
    assert "serving" in response.text


def test_search_without_a_match_says_so(browser):
    assert "No model matches “nothing”" in browser.get("/", params={"search": "nothing"}).text


def test_wrong_column_to_sort_by_is_a_clear_error(browser):
    for path in ("/", "/api/models"):
        response = browser.get(path, params={"sort": "shoe_size"})
        assert (response.status_code, "no such column" in response.text) == (422, True)


def test_model_page_has_its_panels_and_actions(browser):
    page = browser.get(f"/models/{NAME}").text
    for panel in panels.PANELS:
        assert f"/models/{NAME}/panels/{panel.name}" in page
    assert f'data-dag="{NAME}_training"' in page
    assert browser.get("/models/nothing").status_code == 404


def test_rollback_needs_a_previous_champion(browser, database):
    assert f'data-dag="{NAME}_rollback"' not in browser.get(f"/models/{NAME}").text
    lease = rollout.begin(database, NAME, 2, owner="run-2", actor="nightly")
    rollout.shift(database, lease, weight=10_000, shadow_share=0, reason="100 %", key="run-2/100")
    rollout.promote(database, lease, reason="better", evidence={})
    assert f'data-dag="{NAME}_rollback"' in browser.get(f"/models/{NAME}").text


def test_actions_fit_the_state_of_the_model(browser, database):
    assert 'data-conf-action="abort"' not in browser.get(f"/models/{NAME}").text
    rollout.begin(database, NAME, 2, owner="run-2", actor="nightly")
    page = browser.get(f"/models/{NAME}").text
    assert f'data-dag="{NAME}_controls" data-label="Abort" data-conf-action="abort"' in page
    assert 'data-conf-action="lift"' not in page
    controls.freeze(database, NAME, actor="ann", reason="holidays")
    page = browser.get(f"/models/{NAME}").text
    assert 'data-conf-action="lift"' in page
    assert 'data-conf-action="freeze"' not in page
    assert "holidays" in page


def test_paused_rollout_can_be_resumed_only(browser, database):
    rollout.begin(database, NAME, 2, owner="run-2", actor="nightly")
    page = browser.get(f"/models/{NAME}").text
    assert 'data-conf-action="pause"' in page
    assert 'data-conf-action="resume"' not in page
    controls.pause(database, NAME, actor="ann", reason="lunch")
    page = browser.get(f"/models/{NAME}").text
    assert 'data-conf-action="resume"' in page
    assert 'data-conf-action="pause"' not in page


def test_model_page_follows_the_dags_that_work_for_it(browser, monkeypatch):
    shown = re.search(r'data-running="([^"]*)"', browser.get(f"/models/{NAME}").text)[1].split()
    assert {"arrivals_ingestion", f"{NAME}_training", "flight_features_features"} <= set(shown)
    monkeypatch.setattr(visibility, "readable_dags", lambda dag_ids, user: dag_ids & {f"{NAME}_training"})
    assert f'data-running="{NAME}_training"' in browser.get(f"/models/{NAME}").text


def test_rollout_says_what_its_step_has_and_needs(browser, database):
    assert browser.get(f"/api/models/{NAME}/rollout").json() is None
    lease = rollout.begin(database, NAME, 2, owner="dag/run-2", actor="nightly")
    key = f"dag/run-2/{lease.epoch}/canary_2"
    rollout.shift(database, lease, weight=200, shadow_share=0, reason="2 %", key=key)
    step = browser.get(f"/api/models/{NAME}/rollout").json()
    assert (step["run"], step["task"], step["requests"]) == ("dag/run-2", "canary_2", 0)
    assert step["required"] >= 1
    assert browser.get(f"/api/models/{NAME}").json()["rollout_run"] == "dag/run-2"


def test_actions_offer_registered_versions_and_published_days(browser, database, lake):
    page = browser.get(f"/models/{NAME}").text
    for field in ("version-deploy", "first-score", "last-score", "version-score"):
        assert f'<input id="{field}"' in page
    with database.begin() as connection:
        append(connection, Entry(NAME, "registered", "nightly", "passed", 2))
    for day in (date(2013, 7, 1), date(2013, 7, 2)):
        rows = pd.DataFrame({DAY_COLUMN: [str(day)], "value": [1.0]})
        lake.publish("flight_features", rows, [day], metadata={"run": "r", "try": "1"})
    choices = browser.get(f"/api/models/{NAME}/choices").json()
    assert choices == {"versions": [2, 1], "partitions": ["2013-07-02", "2013-07-01"]}
    assert browser.get("/api/models/nothing/choices").status_code == 404


def test_model_with_a_challenger_is_not_deployed_again(browser, database):
    assert 'data-label="Deploy"' in browser.get(f"/models/{NAME}").text
    rollout.begin(database, NAME, 2, owner="run-2", actor="nightly")
    assert 'data-label="Deploy"' not in browser.get(f"/models/{NAME}").text


@pytest.mark.parametrize("n_quarantined", [0, 3])
def test_rejected_rows_can_be_released(browser, database, n_quarantined):
    check = {"subject": "arrivals", "partition": "2013-07-01", "run": "r", "results": []}
    outcome = {"passed": True, "rows": 9, "quarantined": n_quarantined}
    with database.begin() as connection:
        connection.execute(insert(gate_result).values(check | outcome))
    assert ('data-dag="arrivals_quarantine"' in browser.get("/tables").text) is bool(n_quarantined)


def test_text_from_outside_is_no_markup(browser):
    timeline = browser.get(f"/models/{NAME}/panels/timeline").text
    assert MARKUP not in timeline
    assert "&lt;script&gt;" in timeline
    searched = browser.get("/", params={"search": MARKUP}).text
    assert MARKUP not in searched


def test_page_allows_no_scripts_but_its_own(browser):
    for path in ("/", f"/models/{NAME}", "/tables"):
        policy = browser.get(path).headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'self'" in policy


def test_panel_that_fails_does_not_hide_the_others(browser, monkeypatch):
    def fail(connection, use_case):
        raise RuntimeError("the table is away")

    broken = (replace(panels.PANELS[0], read=fail), *panels.PANELS[1:])
    monkeypatch.setattr(visibility, "PANELS", broken)
    client = TestClient(airworthy_app, raise_server_exceptions=False)
    assert client.get(f"/models/{NAME}/panels/traffic").status_code == 500
    assert client.get(f"/models/{NAME}/panels/timeline").status_code == 200
    assert browser.get(f"/models/{NAME}").status_code == 200


def test_chart_that_does_not_exist_is_404(browser):
    assert browser.get(f"/models/{NAME}/panels/traffic/charts/0.svg").status_code == 404
    assert browser.get(f"/models/{NAME}/panels/nothing").status_code == 404


def test_user_without_rights_on_the_dag_does_not_see_the_model(browser, monkeypatch):
    def only_air_time(dag_ids, user):
        return dag_ids & {"air_time_training", "arrivals_ingestion"}

    monkeypatch.setattr(visibility, "readable_dags", only_air_time)
    assert [model["name"] for model in browser.get("/api/models").json()["models"]] == ["air_time"]
    assert [table["name"] for table in browser.get("/api/tables").json()["tables"]] == ["arrivals"]
    for path in (f"/models/{NAME}", f"/api/models/{NAME}", f"/api/models/{NAME}/panels/timeline"):
        assert browser.get(path).status_code == 404


def test_data_is_documented_and_paged(browser):
    content = browser.get("/api/models", params={"rows": 1, "page": 2}).json()
    assert (len(content["models"]), content["page"]) == (1, 2)
    paths = browser.get("/openapi.json").json()["paths"]
    model = "/api/models/{name}"
    parts = {f"{model}/panels/{{panel}}", f"{model}/rollout", f"{model}/choices"}
    assert {"/api/models", model, "/api/tables"} | parts == set(paths)
    panel = browser.get(f"/api/models/{NAME}/panels/timeline").json()
    assert panel["columns"][0] == "at"


def test_assets_are_two_files_only(browser):
    for name in fleet_pages.ASSETS:
        assert browser.get(f"/static/{name}").status_code == 200
    assert browser.get("/static/..%2fapp.py").status_code == 404
