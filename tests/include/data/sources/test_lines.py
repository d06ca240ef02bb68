"""Blocks of whole lines."""

from __future__ import annotations

import pytest

from include.data.sources.formats import Unreadable
from include.data.sources.lines import count_lines, line_blocks, split_block

TEXT = "\ufeffä\r\nb\rc\n\nd".encode()


@pytest.mark.parametrize("size", [3, 5, 100])
def test_blocks_are_whole_lines_whatever_the_chunks(size):
    chunks = [TEXT[start : start + size] for start in range(0, len(TEXT), size)]
    blocks = list(line_blocks(chunks))
    assert b"".join(content for _, content in blocks) == "ä\r\nb\rc\n\nd\n".encode()
    numbers = [number for number, _ in blocks]
    assert numbers[0] == 1
    assert numbers == sorted(numbers)


def test_line_that_is_not_utf8_is_named():
    with pytest.raises(Unreadable, match="byte 0xe4 in line 3"):
        list(line_blocks([b"a\nb\n", b"\xe4\n"]))


def test_all_line_ends_are_counted():
    assert count_lines(b"a\r\nb\rc\n\n") == 4
    assert list(split_block(b"a\nb\nc\n", 2)) == [b"a\nb\n", b"c\n"]
