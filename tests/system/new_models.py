"""From a stranger's file to an answer over HTTP, by the commands that a person types."""

from __future__ import annotations

import json
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.include.scaffold.sample_files import write_customers, write_hourly_counts, write_sensor_readings
from tests.tutorial_blocks import TUTORIAL, code_blocks, commands

if TYPE_CHECKING:
    from pathlib import Path

    from include.settings import Settings
    from tests.system.conftest import Command

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

MAX_SECONDS = 600
CURL_TIMEOUT_S = 60


def require_answer(command: Command, name: str, path: Path) -> None:
    """Declare a model of a file, launch it, and send the printed request."""
    created = command("new", str(path), "--owner", "crm", "--json")
    assert created.returncode == 0, created.stderr
    assert json.loads(created.stdout)["model"] == name
    launched = command("launch", name, "--json")
    assert launched.returncode == 0, launched.stdout + launched.stderr
    result = json.loads(launched.stdout)
    assert result["seconds"] < MAX_SECONDS
    request = result["model"]["command"]
    answered = subprocess.run(
        ["bash", "-c", request], capture_output=True, text=True, timeout=CURL_TIMEOUT_S, check=True
    )
    response = json.loads(answered.stdout)
    assert response["model"] == {"name": name, "version": result["model"]["version"]}
    assert len(response["predictions"]) == 1


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("customers", write_customers),
        ("bike_rentals", write_hourly_counts),
        ("readings", write_sensor_readings),
    ],
)
@pytest.mark.usefixtures("stack")
def test_file_becomes_a_model_that_answers(name, write, command, tmp_path):
    require_answer(command, name, write(tmp_path))
    again = command("launch", name, "--json")
    # Nothing is ingested or trained once more.
    assert again.returncode == 0, again.stderr
    assert not any("trained" in step for step in json.loads(again.stdout)["steps"])


def test_tutorial_ends_with_a_model_that_answers(
    stack: Settings, command: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = code_blocks(TUTORIAL.read_text())
    monkeypatch.chdir(project)
    exec(before[0][1], {})
    for line in [*commands(before), *commands(after)]:
        program, *arguments = shlex.split(line.replace("http://127.0.0.1:8090", stack.gateway_uri))
        if program == ".venv/bin/airworthy":
            result = command(*arguments)
        elif program == "curl":
            result = subprocess.run(
                [program, *arguments], capture_output=True, text=True, timeout=CURL_TIMEOUT_S, check=False
            )
            assert json.loads(result.stdout)["model"]["version"] == 1, result.stdout
        else:
            # The stack of this session runs already.
            assert line in {"make venv", "make up"}
            continue
        assert result.returncode == 0, f"{line}: {result.stdout}{result.stderr}"
