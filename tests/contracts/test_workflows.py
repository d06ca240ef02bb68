"""The workflows and the dev container call targets that the Makefile has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)
CALL = re.compile(r"(?:^|&& )make ([a-z-]+)", re.MULTILINE)
MATRIX = "make ${{ matrix.target }}"
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))


def called_targets(workflow: str) -> set[str]:
    """Return the targets that the steps of a workflow make."""
    targets: set[str] = set()
    for job in yaml.safe_load(workflow)["jobs"].values():
        for step in job["steps"]:
            command = step.get("run", "")
            targets.update(CALL.findall(command))
            if MATRIX in command:
                targets.update(job["strategy"]["matrix"]["target"])
    return targets


def unknown_targets(workflow: str) -> set[str]:
    """Return the targets of a workflow that the Makefile does not have."""
    return called_targets(workflow) - set(TARGET.findall((REPOSITORY / "Makefile").read_text()))


@pytest.mark.parametrize("name", [path.name for path in WORKFLOWS])
def test_workflows_call_targets_of_the_makefile(name):
    workflow = (REPOSITORY / ".github" / "workflows" / name).read_text()
    assert called_targets(workflow)
    assert unknown_targets(workflow) == set()


def test_unknown_target_of_a_workflow_is_found():
    step = f"jobs: {{a: {{strategy: {{matrix: {{target: [check, lint]}}}}, steps: [{{run: '{MATRIX}'}}]}}}}"
    assert unknown_targets(step) == {"lint"}


def test_other_settings_of_the_host_can_be_read():
    container = json.loads((REPOSITORY / ".devcontainer" / "devcontainer.json").read_text())
    assert set(CALL.findall(container["postCreateCommand"])) <= set(
        TARGET.findall((REPOSITORY / "Makefile").read_text())
    )
    for path in [
        REPOSITORY / ".github" / "dependabot.yml",
        *(REPOSITORY / ".github/ISSUE_TEMPLATE").glob("*.yml"),
    ]:
        assert isinstance(yaml.safe_load(path.read_text()), dict)
