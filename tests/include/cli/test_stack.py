from __future__ import annotations

import sys

import pytest

from include.settings import settings
from include.stack.embedded.lifecycle import describe_addresses


@pytest.fixture
def home(tmp_path, set_settings):
    set_settings(home=tmp_path)
    return tmp_path


def test_status_of_a_stack_that_does_not_run_ends_with_3(home, airworthy):
    result = airworthy("stack", "status")
    assert result.code == 3
    assert result.out == f"The stack of {home} does not run. Start it with `make up`.\n"
    as_json = airworthy("stack", "status", "--json")
    assert as_json.code == 3
    assert (as_json.value["running"], as_json.value["home"]) == (False, str(home))


def test_addresses_name_the_models_page_and_the_gateway(home, airworthy):
    places = airworthy("stack", "status", "--json").value["addresses"]
    assert places["models_page"] == f"{places['airflow']}/airworthy/"
    text = describe_addresses(settings())
    assert f"Models   {places['models_page']} " in text
    assert f"Gateway  {places['models']}\n" in text


def test_down_without_a_stack_does_nothing(home, airworthy):
    result = airworthy("stack", "down")
    assert (result.code, result.out) == (0, f"The stack of {home} is down; its data stays.\n")
    assert airworthy("stack", "down", "--json").value == {"home": str(home), "remaining": []}


def test_env_prints_the_variables_without_secrets(home, airworthy):
    assert f"AIRWORTHY_HOME={home}\n" in airworthy("stack", "env").out
    variables = airworthy("stack", "env", "--json").value
    assert variables["AIRWORTHY_HOME"] == str(home)
    assert not [name for name in variables if "PASSWORD" in name or "KEY" in name]


def test_env_runs_a_command_with_its_own_options(home, airworthy):
    code = "import os, sys; open(sys.argv[1], 'w').write(os.environ['AIRFLOW_HOME']); sys.exit(7)"
    output = home / "output"
    result = airworthy("stack", "env", sys.executable, "-c", code, output, "--json", "--help")
    assert result.code == 7
    assert output.read_text() == f"{home}/airflow"


def test_env_finds_the_programs_of_its_environment(home, airworthy, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert airworthy("stack", "env", "airflow", "version").code == 0


def test_env_names_a_command_that_does_not_exist(home, airworthy):
    result = airworthy("stack", "env", "airflou", "version")
    assert result.code == 1
    assert "There is no command airflou" in result.err
