from __future__ import annotations

import pytest
from sqlalchemy import insert

from include.database.tables import desired_state


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
