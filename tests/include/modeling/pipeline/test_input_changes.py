from __future__ import annotations

import pytest

from include.certificates.certificate import Claims
from include.modeling.pipeline import input_changes as module
from include.modeling.pipeline.input_changes import input_changes, recorded_inputs
from include.modeling.pipeline.reproduce import Reproduction
from include.modeling.registry import provenance
from include.modeling.registry.source_files import present_digest

PATH = "include/use_cases/flight_delay.py"


def certified(code="abc", **changes):
    values = {
        "use_case": "flight_delay", "snapshot": {}, "code_version": code, "run_id": "run", "metrics": {},
        "lock_hash": provenance.lock_hash(), "gates": (), "environment": {},
    }  # fmt: skip
    return Claims(**values | changes)


@pytest.mark.parametrize(("version", "is_change"), [("abc-dirty", True), ("unknown", True), ("abc", False)])
def test_code_that_is_not_committed_counts_as_changed(monkeypatch, version, is_change):
    monkeypatch.setattr(module, "code_version", lambda: version)
    assert bool(input_changes(certified(version))) is is_change


@pytest.mark.parametrize(
    ("digest", "changed"), [("0" * 64, [PATH]), (present_digest(PATH), [])], ids=["other text", "same text"]
)
def test_changed_file_is_named_although_the_commit_is_the_same(monkeypatch, digest, changed):
    monkeypatch.setattr(module, "code_version", lambda: "abc-dirty")
    changes = input_changes(certified("abc-dirty", sources={PATH: digest}))
    assert [change.what for change in changes] == changed


def test_file_that_is_gone_is_named(monkeypatch):
    monkeypatch.setattr(module, "code_version", lambda: "abc")
    (change,) = input_changes(certified(sources={"include/use_cases/gone.py": "0" * 64}))
    assert (change.what, change.now) == ("include/use_cases/gone.py", "gone")


def test_difference_without_a_change_names_what_may_vary():
    recorded = recorded_inputs(certified(sources={PATH: "0"}, environment={"python": "3.11", "numpy": "2"}))
    assert recorded == "the text of 1 files, commit, lock, python and 1 packages"
    result = Reproduction("rentals", 1, "run", "different", "a", "b", recorded=recorded)
    assert "Nothing has changed of what is recorded: the text of 1 files" in result.reason
    assert "give build_model() a random_state" in result.reason
