from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from include.atomic_files import write_atomically


def test_file_is_replaced_and_nothing_else_remains(tmp_path):
    file = tmp_path / "config.txt"
    file.write_text("old")
    write_atomically(file, "größer")
    write_atomically(tmp_path / "key", b"\x00\xff", mode=0o600)
    assert file.read_bytes() == "größer".encode()
    assert (tmp_path / "key").read_bytes() == b"\x00\xff"
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.txt", "key"]


def test_failed_replacement_leaves_no_draft(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_atomically(tmp_path / "taken", "content")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_concurrent_writers_leave_one_whole_content(tmp_path):
    file = tmp_path / "state.json"
    contents = [str(digit) * 100_000 for digit in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_atomically(file, content), contents))
    assert file.read_text() in contents
    assert list(tmp_path.iterdir()) == [file]
