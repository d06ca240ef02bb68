from __future__ import annotations

import hashlib
import subprocess

import pytest

from include.modeling.registry import provenance as module
from include.modeling.registry.provenance import Provenance


@pytest.fixture(autouse=True)
def _empty_cache():
    module.code_version.cache_clear()
    yield
    module.code_version.cache_clear()


def test_the_code_version_is_the_commit_of_the_repository():
    assert len(module.code_version().removesuffix("-dirty")) == 40


def test_an_environment_variable_sets_the_code_version(monkeypatch):
    monkeypatch.setenv("AIRWORTHY_CODE_VERSION", "v1.2")
    assert module.code_version() == "v1.2"


def test_the_code_version_is_unknown_without_a_repository(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "REPOSITORY", tmp_path)
    assert module.code_version() == "unknown"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Return a repository with one committed declaration, and a function that runs git in it."""
    monkeypatch.setattr(module, "REPOSITORY", tmp_path)
    monkeypatch.delenv("AIRWORTHY_CODE_VERSION", raising=False)
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "rentals.py").write_text("ROUNDS = 1")
    for command in ("init -q", "add -A", "-c user.name=a -c user.email=a@b.example commit -qm first"):
        subprocess.run(["git", "-C", str(tmp_path), *command.split()], check=True)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "is_dirty"),
    [
        ("include/rentals.py", True), ("include/new.py", True), ("dags/new.py", True),
        ("plugins/deep/new.py", True), ("notes.txt", False), (None, False),
    ],
)  # fmt: skip
def test_changed_and_new_code_makes_the_commit_dirty(repository, path, is_dirty):
    if path is not None:
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_text("ROUNDS = 2")
    version = module.code_version()
    assert (len(version.removesuffix("-dirty")), version.endswith("-dirty")) == (40, is_dirty)


def test_the_lock_hash_is_that_of_the_requirements():
    expected = hashlib.sha256((module.REPOSITORY / "requirements.txt").read_bytes()).hexdigest()
    assert module.lock_hash() == expected


def test_the_digest_does_not_depend_on_the_order_of_keys():
    assert (
        module.current_provenance({"digest": "a", "rows": 1}).digest
        == module.current_provenance({"rows": 1, "digest": "a"}).digest
    )


@pytest.mark.parametrize(
    "change",
    [{"snapshot": {"digest": "b"}}, {"code_version": "y"}, {"lock_hash": "z"}, {"sources": {"a.py": "1"}}],
)
def test_each_input_changes_the_digest(change):
    inputs = {"snapshot": {"digest": "a"}, "code_version": "x", "lock_hash": "y"}
    assert Provenance(**inputs).digest != Provenance(**inputs | change).digest


@pytest.mark.parametrize("n_files", [0, 1, 200])
def test_tags_hold_the_sources_however_many_they_are(n_files):
    sources = {f"include/my/{'room/' * 12}module_{number}.py": "0" * 64 for number in range(n_files)}
    tags = Provenance({"digest": "a"}, "x", "y", sources=sources).tags
    assert max(map(len, tags.values())) < 8_000
    assert module.tagged_sources(tags | {"airworthy.source": "another"}) == sources
