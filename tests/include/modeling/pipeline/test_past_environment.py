from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from include.errors import SettingsError
from include.modeling.pipeline.past_environment import install_lock, past_environment
from include.modeling.registry.provenance import REPOSITORY

# The command line of the old commit: it writes what it was called with.
COMMAND = """
import json, os, pathlib, sys
code = pathlib.Path(__file__).parents[2] / "code.txt"
content = {"arguments": sys.argv[1:], "code": code.read_text(), "home": os.environ["AIRWORTHY_HOME"]}
pathlib.Path(os.environ["OUTPUT"]).write_text(json.dumps(content))
sys.exit(1)
"""


@dataclass
class Signed:
    code_version: str
    lock_hash: str
    environment: dict[str, str] = field(default_factory=lambda: {"python": "3.11.7"})


def git(folder, *arguments):
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """Return a repository whose code and lock have changed since its first commit."""
    folder = tmp_path / "repository"
    (folder / "include" / "cli").mkdir(parents=True)
    (folder / "include" / "__init__.py").touch()
    (folder / "include" / "cli" / "__init__.py").touch()
    (folder / "include" / "cli" / "__main__.py").write_text(COMMAND)
    git(folder.parent, "init", "--quiet", str(folder))
    for text in ("old", "new"):
        (folder / "code.txt").write_text(text)
        (folder / "requirements.txt").write_text(f"{text}==1\n")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", text)
    return folder


@pytest.fixture
def signed(repository):
    lock = hashlib.sha256(b"old==1\n").hexdigest()
    return Signed(git(repository, "rev-parse", "HEAD~1"), lock)


def install(lock, python_version, environments):
    assert (lock.read_text(), python_version) == ("old==1\n", "3.11.7")
    return Path(sys.executable)


def test_command_runs_with_the_code_of_the_commit(repository, signed, tmp_path):
    variables = {"AIRWORTHY_HOME": "/the/home", "OUTPUT": str(tmp_path / "output")}
    with past_environment(signed, tmp_path, repository=repository, install=install) as past:
        assert past.run(["reproduce", "model", "3"], variables) == 1
        assert past.folder != repository
    content = json.loads((tmp_path / "output").read_text())
    assert content == {"arguments": ["reproduce", "model", "3"], "code": "old", "home": "/the/home"}
    assert not past.folder.exists()
    assert git(repository, "worktree", "list").count("\n") == 0
    assert (repository / "code.txt").read_text() == "new"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"code_version": "0" * 40}, "has no commit 0000"),
        ({"code_version": "abc-dirty"}, "'abc-dirty', which is no commit"),
        ({"code_version": "unknown"}, "Use --here"),
        ({"lock_hash": "1" * 64}, "is not the certified one"),
    ],
)
def test_version_that_cannot_be_had_is_named(repository, signed, tmp_path, change, message):
    for name, value in change.items():
        setattr(signed, name, value)
    with (
        pytest.raises(SettingsError, match=message),
        past_environment(signed, tmp_path, repository=repository, install=install),
    ):
        pytest.fail("it cannot be had")
    assert git(repository, "worktree", "list").count("\n") == 0


def test_folder_without_a_repository_is_named(signed, tmp_path):
    with (
        pytest.raises(SettingsError, match="no Git repository"),
        past_environment(signed, tmp_path, repository=tmp_path, install=install),
    ):
        pytest.fail("it cannot be had")


def test_present_packages_are_used_for_the_same_lock(tmp_path):
    python_version = ".".join(map(str, sys.version_info[:3]))
    lock = REPOSITORY / "requirements.txt"
    assert install_lock(lock, python_version, tmp_path) == Path(sys.executable)


def test_installed_packages_are_used_again(tmp_path):
    lock = tmp_path / "requirements.txt"
    lock.write_text("other==1\n")
    folder = tmp_path / f"{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}-3.11.7"
    folder.mkdir()
    (folder / "complete").touch()
    assert install_lock(lock, "3.11.7", tmp_path) == folder / "bin" / "python"
