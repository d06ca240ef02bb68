from __future__ import annotations

import pytest

from include.storage import filesystem

ON_BOTH_STORES = True


def test_file_is_replaced_and_nothing_else_remains(storage_root):
    storage_root.write("a/b.txt", b"first, and longer")
    storage_root.write("a/b.txt", b"second")
    assert storage_root.files("a") == ["a/b.txt"]
    assert storage_root.open().open_input_file("a/b.txt").read() == b"second"


def test_failed_write_leaves_the_old_file(storage_root):
    storage_root.write("b.txt", b"old")
    with pytest.raises(TypeError):
        storage_root.write("b.txt", 12)
    assert storage_root.open().open_input_file("b.txt").read() == b"old"


def test_missing_paths_are_those_that_are_not_files(storage_root):
    storage_root.write("a/b.txt", b"")
    assert filesystem.find_missing(storage_root.open(), ["a/b.txt", "a/c.txt", "a"]) == {"a/c.txt", "a"}
