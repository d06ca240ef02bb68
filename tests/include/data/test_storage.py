from __future__ import annotations

import pytest

from include.data import storage


def test_a_file_is_replaced_as_a_whole_and_leaves_nothing_beside_it(tmp_path):
    files = storage.filesystem(str(tmp_path / "new"), {})
    storage.write(files, "a/b.txt", b"first, and longer")
    storage.write(files, "a/b.txt", b"second")
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "new" / "a").iterdir()] == [
        ("b.txt", b"second")
    ]


def test_a_writer_that_fails_half_way_leaves_the_old_file(tmp_path):
    files = storage.filesystem(str(tmp_path), {})
    storage.write(files, "b.txt", b"old")
    with pytest.raises(TypeError):
        storage.write(files, "b.txt", 12)
    assert (tmp_path / "b.txt").read_bytes() == b"old"


def test_tells_files_from_what_is_missing(tmp_path):
    files = storage.filesystem(str(tmp_path), {})
    storage.write(files, "a/b.txt", b"")
    assert storage.missing(files, ["a/b.txt", "a/c.txt", "a"]) == {"a/c.txt", "a"}
