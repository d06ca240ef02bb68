"""The command line as a whole: its help, its errors, and the launcher that `make venv` installs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from include.stack.embedded import environment

if TYPE_CHECKING:
    from pathlib import Path

GROUPS = (
    "stack",
    "compose",
    "keys",
    "lineage",
    "certificate",
    "quarantine",
    "datasets",
    "features",
    "models",
)
COMMANDS = ("demo", "feed", "champion", "history", "explain", "backtest", "materialise")
HEAVY = ("pandas", "numpy", "sqlalchemy", "mlflow", "pydantic", "feast", "deltalake", "psutil", "httpx")
LAUNCHER = environment.REPOSITORY / "scripts" / "airworthy"


def test_help_lists_every_command_and_the_exit_codes(airworthy):
    result = airworthy("--help")
    assert result.code == 0
    for name in (*GROUPS, *COMMANDS, "Exit codes"):
        assert name in result.out


SHOWN = (*COMMANDS, "stack up", "quarantine release", "certificate verify", "datasets show", "models list")


@pytest.mark.parametrize("command", SHOWN)
def test_help_of_a_command_shows_an_example_and_json(airworthy, command):
    result = airworthy(*command.split(), "--help")
    assert result.code == 0
    assert f"airworthy {command}" in result.out
    assert "--json" in result.out


def test_help_imports_nothing_heavy():
    code = f"import include.cli.__main__, sys; print(sorted(set({HEAVY}) & set(sys.modules)))"
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=environment.REPOSITORY, capture_output=True, text=True, check=True
    )
    assert process.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lineage", "model", "unknown", "1"], "No use case 'unknown' is declared"),
        (["lineage", "partition", "flights", "July"], "'July' is not a day"),
        (["champion", "flight_delay", "--at", "2026-05-03T12:00:00"], "has no time zone"),
        (["champion", "flight_delay", "--at", "yesterday"], "is not a moment"),
        (["quarantine", "list", "unknown"], "No dataset 'unknown' is declared"),
        (["explain", "flight_delay"], "either --request or --entity"),
        (["fly"], "No such command"),
    ],
)
def test_wrong_command_line_ends_with_2_and_the_remedy(airworthy, arguments, message):
    result = airworthy(*arguments)
    assert result.code == 2
    words = result.err.replace("│", " ").split()
    assert message in " ".join(words)


def test_project_error_is_printed_without_a_traceback(airworthy, set_settings, tmp_path):
    set_settings(home=tmp_path)
    result = airworthy("history", "flight_delay")
    assert (result.code, result.out) == (1, "")
    assert result.err == "There is no database yet: start the stack with `make up`.\n"


@pytest.fixture
def installed(tmp_path):
    """Return the launcher in a virtual environment of a repository whose path has a space."""
    repository = tmp_path / "a repository"
    bin_folder = repository / ".venv" / "bin"
    bin_folder.mkdir(parents=True)
    (repository / "include").symlink_to(environment.REPOSITORY / "include")
    shutil.copy(LAUNCHER, bin_folder / "airworthy")
    python = bin_folder / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return bin_folder / "airworthy"


def run_launcher(launcher: Path, folder: Path) -> list[str]:
    variables = {"PATH": "/usr/bin:/bin"}
    process = subprocess.run(
        [launcher, "stack", "env"], cwd=folder, env=variables, capture_output=True, text=True, check=True
    )
    return process.stdout.splitlines()


def test_launcher_works_in_any_folder(installed, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "include").mkdir(parents=True)
    (elsewhere / "include" / "__init__.py").write_text("raise SystemExit(9)")
    home = installed.parents[2] / ".airworthy"
    assert f"AIRWORTHY_HOME={home}" in run_launcher(installed, elsewhere)


def test_launcher_works_through_a_link(installed, tmp_path):
    link = tmp_path / "airworthy"
    link.symlink_to(installed)
    home = installed.parents[2] / ".airworthy"
    assert f"AIRWORTHY_HOME={home}" in run_launcher(link, tmp_path)
