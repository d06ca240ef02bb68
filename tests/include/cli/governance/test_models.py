from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import insert

from include.database.tables import desired_state
from include.governance import package_check, recomputed_versions
from include.governance.package_check import PackageDifference, VersionCheck
from include.inference.golden_comparison import GoldenComparison


@pytest.fixture
def served(away, database_url, database, set_settings, registry):
    """Serve a model whose declaration was deleted."""
    set_settings(database_url=database_url)
    with database.begin() as connection:
        connection.execute(insert(desired_state).values(use_case="oops_model", champion=4))


def test_list_has_models_without_a_declaration(served, airworthy):
    value = airworthy("models", "list", "--json").value
    assert {entry["name"]: entry["declared"] for entry in value} == {
        "air_time": True,
        "delay_band": True,
        "flight_delay": True,
        "oops_model": False,
    }
    assert "(not declared)" in airworthy("models", "list").out


@pytest.mark.parametrize(
    ("group", "name"),
    [("models", "flight_delay"), ("datasets", "flights"), ("features", "flight_features")],
)
def test_group_without_a_command_lists(away, airworthy, group, name):
    result = airworthy(group)
    assert (result.code, result.out) == (0, airworthy(group, "list").out)
    assert name in result.out
    assert name in {entry["name"] for entry in airworthy(group, "--json").value}
    assert name not in airworthy(group, "search", "no such words").out


def test_show_of_a_model_without_a_declaration_names_the_command(served, airworthy, registry):
    shown = airworthy("models", "show", "oops_model").out
    assert "airworthy models retire" in shown
    assert "champion   4" in shown


def test_show_of_an_unknown_model_ends_with_1(away, airworthy):
    result = airworthy("models", "show", "nothing")
    assert result.code == 1
    assert "There is no model nothing" in result.err


def test_search_finds_models_by_their_features(away, airworthy):
    assert "flight_delay" in airworthy("models", "search", "humid").out


def test_check_prints_what_a_list_of_packages_changes(away, airworthy, monkeypatch, tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("numpy==2.2")
    checks = [
        VersionCheck("flight_delay", 1, "changed", (PackageDifference("numpy", "2.1", "2.2"),)),
        VersionCheck("flight_delay", 2, "unknown", reason="no certificate"),
    ]
    monkeypatch.setattr(package_check, "check_versions", lambda *_, **__: checks)
    value = airworthy("models", "check", "flight_delay", "--against", path, "--json").value
    assert value[0]["differences"] == [{"package": "numpy", "trained_with": "2.1", "listed": "2.2"}]
    text = airworthy("models", "check", "flight_delay", "--against", path).out
    assert "numpy 2.1: 2.2" in text
    assert "no certificate" in text


def test_recomputed_check_prints_the_largest_difference(away, airworthy, monkeypatch, tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("numpy==2.2")
    changed = VersionCheck("flight_delay", 1, "changed", (PackageDifference("numpy", "2.1", "2.2"),))
    results = [
        replace(changed, comparison=GoldenComparison(50, 0.25, 1e-9)),
        replace(changed, version=2, comparison=GoldenComparison(50, 0.0, 1e-9)),
        replace(changed, version=3, comparison=GoldenComparison(problem="no lightgbm")),
    ]
    monkeypatch.setattr(package_check, "check_versions", lambda *_, **__: [changed])
    monkeypatch.setattr(recomputed_versions, "recompute_versions", lambda *_, **__: results)
    command = ("models", "check", "flight_delay", "--against", path, "--recompute")
    assert airworthy(*command, "--json").value[0]["comparison"]["largest_difference"] == 0.25
    text = " ".join(airworthy(*command).out.split())
    for part in ("0.25 in 50 golden rows; 1e-09 is rounding", "which is rounding", "no lightgbm"):
        assert part in text


def test_check_without_mlflow_ends_with_1(away, airworthy, tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("numpy==2.2")
    result = airworthy("models", "check", "flight_delay", "--against", path)
    assert result.code == 1
    assert "cannot be read from MLflow" in result.err
