from __future__ import annotations

from types import SimpleNamespace

import pytest

from include.modeling.registry.run_keys import (
    KEY,
    REPLACES,
    SUPERSEDED_BY,
    SUPERSEDES,
    is_superseded,
    key_after_clears,
    predecessor_tags,
    run_origin,
)

ORIGIN = run_origin("identity")


def run(run_id, clears, *, deleted=False, **tags):
    info = SimpleNamespace(run_id=run_id, lifecycle_stage="deleted" if deleted else "active")
    data = SimpleNamespace(tags={KEY: key_after_clears(ORIGIN, clears), **tags})
    return SimpleNamespace(info=info, data=data)


def test_the_key_of_a_cleared_run_contains_the_number_of_clears():
    assert key_after_clears(ORIGIN, 0) == ORIGIN
    assert key_after_clears(ORIGIN, 2) == f"{ORIGIN}/2"


@pytest.mark.parametrize(
    ("runs", "clears", "expected"),
    [
        ([], 0, {}),
        ([run("old", 0)], 1, {SUPERSEDES: "old"}),
        ([run("newer", 1), run("old", 0)], 2, {SUPERSEDES: "newer"}),
        ([run("old", 0, deleted=True)], 0, {REPLACES: "old"}),
        ([run("newer", 2)], 1, {}),
    ],
    ids=["no run", "cleared", "newest", "deleted", "late attempt"],
)
def test_a_new_run_names_its_predecessor(runs, clears, expected):
    assert predecessor_tags(runs, key_after_clears(ORIGIN, clears)) == expected


@pytest.mark.parametrize(
    ("earlier", "expected"),
    [
        (run("old", 0), True),
        (run("same", 1), False),
        (run("deleted", 0, deleted=True), False),
        (run("superseded", 0, **{SUPERSEDED_BY: "another"}), False),
    ],
    ids=["earlier", "same", "deleted", "superseded"],
)
def test_only_an_earlier_active_run_is_superseded(earlier, expected):
    assert is_superseded(earlier, key_after_clears(ORIGIN, 1)) is expected
