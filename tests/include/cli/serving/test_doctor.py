from __future__ import annotations

import pytest

from include.release import rollout


@pytest.fixture
def deployed(database, set_settings, tmp_path):
    set_settings(database_url=database.url.render_as_string(hide_password=False), home=tmp_path)
    return database


def test_empty_stack_is_well(deployed, airworthy):
    result = airworthy("doctor", "--no-registry")
    assert (result.code, result.out) == (0, "0 models, 8 checks, nothing is wrong.\n")


def test_findings_end_with_1(deployed, airworthy):
    lease = rollout.begin(deployed, "flight_delay", 1, owner="run-1", actor="ann")
    rollout.promote(deployed, lease, reason="first", evidence={})
    result = airworthy("doctor", "--no-registry", "--json")
    assert result.code == 1
    assert result.value["models"] == ["flight_delay"]
    (finding,) = result.value["findings"]
    assert finding["check"] == "champion"
    assert "no registration" in finding["problem"]
    assert "no registration" in airworthy("doctor", "--no-registry").out
