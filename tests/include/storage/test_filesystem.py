from __future__ import annotations

import pytest

from include.storage import filesystem


def test_a_file_is_replaced_as_a_whole_and_leaves_nothing_beside_it(place):
    place.put("a/b.txt", b"first, and longer")
    place.put("a/b.txt", b"second")
    assert place.paths("a") == ["a/b.txt"]
    assert place.files().open_input_file("a/b.txt").read() == b"second"


def test_a_writer_that_fails_half_way_leaves_the_old_file(place):
    place.put("b.txt", b"old")
    with pytest.raises(TypeError):
        place.put("b.txt", 12)
    assert place.files().open_input_file("b.txt").read() == b"old"


def test_tells_files_from_what_is_missing(place):
    place.put("a/b.txt", b"")
    assert filesystem.find_missing(place.files(), ["a/b.txt", "a/c.txt", "a"]) == {"a/c.txt", "a"}
