from __future__ import annotations

import hashlib

import pytest

from include.modeling.registry import provenance as known
from include.modeling.registry.provenance import Provenance


@pytest.fixture(autouse=True)
def _asked_anew():
    known.code_version.cache_clear()
    yield
    known.code_version.cache_clear()


def test_a_repository_names_its_commit():
    assert len(known.code_version().removesuffix("-dirty")) == 40


def test_an_image_is_told_its_commit(monkeypatch):
    monkeypatch.setenv("AIRWORTHY_CODE_VERSION", "v1.2")
    assert known.code_version() == "v1.2"


def test_code_without_a_repository_is_unknown(monkeypatch, tmp_path):
    monkeypatch.setattr(known, "REPOSITORY", tmp_path)
    assert known.code_version() == "unknown"


def test_the_lock_is_named_by_its_content():
    expected = hashlib.sha256((known.REPOSITORY / "requirements.txt").read_bytes()).hexdigest()
    assert known.lock_hash() == expected


def test_a_provenance_is_the_same_for_the_same_snapshot():
    assert (
        known.provenance({"digest": "a", "rows": 1}).digest
        == known.provenance({"rows": 1, "digest": "a"}).digest
    )


@pytest.mark.parametrize("change", [{"snapshot": {"digest": "b"}}, {"code_version": "y"}, {"lock_hash": "z"}])
def test_any_change_is_another_provenance(change):
    given = {"snapshot": {"digest": "a"}, "code_version": "x", "lock_hash": "y"}
    assert Provenance(**given).digest != Provenance(**given | change).digest
