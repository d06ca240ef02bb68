from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from include.errors import SettingsError
from include.modeling.pipeline import past_environment as past_environment_module
from include.modeling.pipeline.past_environment import install_lock, past_environment
from include.modeling.registry.provenance import REPOSITORY
from tests.conftest import wait_until

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
        ({"environment": {}}, "names no version of Python"),
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


def test_commit_without_a_lock_is_named(repository, signed, tmp_path):
    git(repository, "rm", "--quiet", "requirements.txt")
    git(repository, "commit", "--quiet", "-m", "no lock")
    signed.code_version = git(repository, "rev-parse", "HEAD")
    with (
        pytest.raises(SettingsError, match=r"has no requirements\.txt"),
        past_environment(signed, tmp_path, repository=repository, install=install),
    ):
        pytest.fail("it cannot be had")


def test_removed_worktree_does_not_hide_the_result(repository, signed, tmp_path):
    with past_environment(signed, tmp_path, repository=repository, install=install) as past:
        shutil.rmtree(past.folder)
        git(repository, "worktree", "prune")


def test_two_installations_of_a_lock_become_one(tmp_path, monkeypatch):
    lock = tmp_path / "requirements.txt"
    lock.write_text("other==1\n")
    commands = []
    started = threading.Event()

    def run(*arguments):
        commands.append(arguments[0])
        if arguments[0] == "venv":
            Path(arguments[-1]).mkdir()
            started.set()
            # The other thread waits for the lock meanwhile, or installs too.
            wait_until(lambda: len(commands) > 1 or other.is_alive(), 10, "the other installation")

    monkeypatch.setattr(past_environment_module, "_uv", run)
    other = threading.Thread(target=lambda: started.wait(10) and install_lock(lock, "3.11.7", tmp_path))
    other.start()
    install_lock(lock, "3.11.7", tmp_path)
    other.join(10)
    assert commands == ["venv", "pip"]
