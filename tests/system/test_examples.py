"""The examples in docs/examples work on a running stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from include.stack.embedded import environment

if TYPE_CHECKING:
    from include.settings import Settings

pytestmark = pytest.mark.system

EXAMPLES = environment.REPOSITORY / "docs" / "examples"
TIMEOUT_S = 240


def run_example(stack: Settings, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    passwords = json.loads((stack.root / "airflow" / "passwords.json").read_text())
    variables = {"AIRFLOW_URL": stack.airflow_uri, "AIRFLOW_PASSWORD": passwords["admin"]}
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.mark.parametrize("action", ["freeze", "lift"])
def test_example_runs_a_dag_and_waits(stack, action):
    conf = json.dumps({"action": action, "reason": "an example"})
    result = run_example(stack, "run_dag.py", "delay_band_controls", conf)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.split() == ["control", "success", "delay_band_controls:", "success"]


def test_example_lists_questions(stack):
    result = run_example(stack, "approvals.py")
    assert result.returncode == 0, result.stderr
