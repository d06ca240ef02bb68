from __future__ import annotations

from include.scaffold import launch
from include.scaffold.launch import LaunchedModel
from include.settings import settings
from tests.conftest import free_ports


def test_launch_ends_with_a_request_and_the_page(airworthy, home, monkeypatch):
    launched = LaunchedModel("air_time", 1, None, "curl -s http://gateway", {"predictions": [1.0]})
    monkeypatch.setattr(launch, "launch_model", lambda stack, console, name: launched)
    lines = airworthy("launch", "air_time").out.splitlines()
    assert lines[-2:] == [
        "curl -s http://gateway",
        f"Its page: {settings().airflow_public_uri}/airworthy/models/air_time",
    ]
    assert "page" not in airworthy("launch", "air_time", "--json").out


def test_launch_says_that_callers_bring_the_next_version(airworthy, home, monkeypatch):
    launched = LaunchedModel("air_time", 1, 2, "curl -s http://gateway", {"predictions": [1.0]})
    monkeypatch.setattr(launch, "launch_model", lambda stack, console, name: launched)
    assert (
        "Version 2 takes over in steps, as callers send such requests." in airworthy("launch", "air_time").out
    )


def test_launch_without_a_stack_says_how_to_start_it(airworthy, home, monkeypatch):
    monkeypatch.setenv("AIRWORTHY_AIRFLOW_PORT", str(free_ports(1)[0]))
    settings.cache_clear()
    result = airworthy("launch", "air_time")
    assert result.code == 1
    assert "make" in result.out
