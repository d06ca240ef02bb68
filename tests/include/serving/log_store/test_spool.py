from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from include.serving.log_store import spool as module
from include.serving.log_store.spool import RecordSpool, SpoolFullError

CHILD = """
import os, sys
from pathlib import Path
from include.serving.log_store.spool import RecordSpool
spool = RecordSpool(Path(sys.argv[1]))
spool.append([b'{"from": "child"}'])
print("written", flush=True)
sys.stdin.read()
"""


def lines_of(spool: RecordSpool) -> list[bytes]:
    with spool.segments() as files:
        return b"".join(file.read_bytes() for file in files).splitlines()


def test_lines_are_read_in_the_order_of_writing(tmp_path) -> None:
    spool = RecordSpool(tmp_path)
    for number in range(5):
        spool.append([b"%d" % number])
        spool.close_segment()
    assert lines_of(spool) == [b"0", b"1", b"2", b"3", b"4"]


def test_an_open_segment_is_not_lent(tmp_path) -> None:
    spool = RecordSpool(tmp_path)
    spool.append([b"1"])
    assert lines_of(spool) == []
    spool.close_segment()
    assert lines_of(spool) == [b"1"]


def test_a_full_segment_is_closed(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "SEGMENT_BYTES", 10)
    spool = RecordSpool(tmp_path)
    spool.append([b"0123456789"])
    spool.append([b"next"])
    assert lines_of(spool) == [b"0123456789"]


def test_segments_of_a_living_process_are_left_alone(tmp_path) -> None:
    first = RecordSpool(tmp_path)
    first.append([b"first"])
    first.close_segment()
    assert lines_of(RecordSpool(tmp_path)) == []
    first.close()
    second = RecordSpool(tmp_path)
    assert lines_of(second) == [b"first"]


def test_segments_of_a_killed_process_are_taken_over(tmp_path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"written\n"
    spool = RecordSpool(tmp_path)
    assert lines_of(spool) == []
    process.kill()
    process.wait()
    with spool.segments() as files:
        assert [file.read_bytes() for file in files] == [b'{"from": "child"}\n']
        for file in files:
            file.unlink()
    assert list(tmp_path.iterdir()) == []


def test_two_processes_never_take_the_same_segment(tmp_path) -> None:
    ended = RecordSpool(tmp_path)
    ended.append([b"1"])
    ended.close()
    with RecordSpool(tmp_path).segments() as files:
        assert len(files) == 1
        assert lines_of(RecordSpool(tmp_path)) == []


def test_a_folder_beyond_its_size_takes_no_line(tmp_path) -> None:
    spool = RecordSpool(tmp_path, max_bytes=100)
    spool.append([b"x" * 60])
    with pytest.raises(SpoolFullError, match="more than 100 bytes"):
        spool.append([b"x" * 60])
    spool.close_segment()
    assert lines_of(spool) == [b"x" * 60]


def test_a_full_disk_leaves_no_part_of_a_line(tmp_path, monkeypatch) -> None:
    spool = RecordSpool(tmp_path)
    spool.append([b"whole"])
    write = os.write

    def fill_up(descriptor: int, content: bytes) -> int:
        if len(content) > 4:
            return write(descriptor, content[:4])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "write", fill_up)
    with pytest.raises(OSError, match="No space"):
        spool.append([b"torn 123"])
    monkeypatch.undo()
    spool.append([b"next"])
    spool.close_segment()
    assert lines_of(spool) == [b"whole", b"next"]


def test_lines_set_aside_are_bounded(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "MAX_REJECTED_BYTES", 10)
    spool = RecordSpool(tmp_path)
    spool.reject([b"0123456789"])
    with pytest.raises(SpoolFullError, match="delete old files"):
        spool.reject([b"more"])
    assert spool.size() == 0
