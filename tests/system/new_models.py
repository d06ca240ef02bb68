"""From a stranger's file to an answer over HTTP, by the commands that a person types."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.include.scaffold.sample_files import write_customers, write_hourly_counts, write_sensor_readings

if TYPE_CHECKING:
    from pathlib import Path

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
