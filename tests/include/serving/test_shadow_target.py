from __future__ import annotations

import json

from include.serving.shadow_target import ShadowTarget, write_target


def test_a_target_is_written_and_removed(tmp_path) -> None:
    file = tmp_path / "shadow" / "delay.json"
    write_target(file, ShadowTarget(1, 2, ("a:1", "a:2"), 0.5))
    content = {"champion": 1, "challenger": 2, "addresses": ["a:1", "a:2"], "share": 0.5}
    assert json.loads(file.read_text()) == content
    write_target(file, None)
    assert json.loads(file.read_text()) is None


def test_an_unchanged_target_is_not_written_again(tmp_path) -> None:
    file = tmp_path / "delay.json"
    write_target(file, None)
    inode = file.stat().st_ino
    write_target(file, None)
    assert file.stat().st_ino == inode


def test_each_replica_sends_copies_to_one_address() -> None:
    target = ShadowTarget(1, 2, ("a:1", "a:2"), 1.0)
    assert [target.address_for(replica) for replica in (1, 2, 3)] == ["a:1", "a:2", "a:1"]
