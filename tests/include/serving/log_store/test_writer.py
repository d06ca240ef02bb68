from __future__ import annotations

import errno
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import select

from include.database.tables import log_watermark
from include.serving.log_store import writer as module
from include.serving.log_store.loader import DatabaseAwayError
from include.serving.log_store.spool import RecordSpool
from include.serving.log_store.writer import LogWriter
from tests.include.serving.log_store.conftest import line_of


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"airworthy_log_{name}", {"log": "entries"} | labels) or 0.0


def fail(lines):
    raise DatabaseAwayError("cannot execute INSERT in a read-only transaction")


class FullDisk(RecordSpool):
    """A spool that cannot be written to."""

    def append(self, lines) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture(autouse=True)
def fast(monkeypatch) -> None:
    monkeypatch.setattr(module, "LOAD_INTERVAL_S", 0.01)
    monkeypatch.setattr(module, "RETRY_INTERVAL_S", 0.05)


@pytest.fixture
def writer(tmp_path, loader):
    built = LogWriter("entries", RecordSpool(tmp_path), loader)
    yield built
    built.close()


def test_records_are_written_soon_and_leave_no_file(writer, entries, tmp_path, wait_for) -> None:
    written = metric("records_written_total")
    writer.store([line_of(1), line_of(2)])
    wait_for(lambda: entries() == [1, 2], 5)
    wait_for(lambda: not list(tmp_path.rglob("*.jsonl")), 5)
    assert metric("records_written_total") == written + 2


def test_records_wait_on_disk_while_the_database_fails(tmp_path, loader, entries, monkeypatch, wait_for):
    load = loader.load
    monkeypatch.setattr(loader, "load", fail)
    writer = LogWriter("entries", RecordSpool(tmp_path), loader)
    for number in range(100):
        writer.store([line_of(number)])
    wait_for(lambda: metric("database_away") == 1, 5)
    wait_for(lambda: metric("spool_bytes") > 0, 5)
    assert entries() == []
    monkeypatch.setattr(loader, "load", load)
    wait_for(lambda: entries() == list(range(100)), 5)
    wait_for(lambda: metric("database_away") == 0, 5)
    writer.close()


def test_an_unforeseen_error_does_not_end_the_thread(tmp_path, loader, entries, monkeypatch, wait_for):
    load = loader.load
    failed = []

    def fail(lines):
        failed.append(lines)
        raise RuntimeError("nobody expected this")

    monkeypatch.setattr(loader, "load", fail)
    writer = LogWriter("entries", RecordSpool(tmp_path), loader)
    writer.store([line_of(1)])
    wait_for(lambda: len(failed) >= 2, 5)
    monkeypatch.setattr(loader, "load", load)
    wait_for(lambda: entries() == [1], 5)
    writer.close()


def test_a_refused_record_is_set_aside_and_counted(writer, entries, tmp_path, wait_for) -> None:
    rejected = metric("records_rejected_total")
    poison = line_of("no number")
    writer.store([line_of(1), poison, line_of(2)])
    wait_for(lambda: entries() == [1, 2], 5)
    wait_for(lambda: metric("records_rejected_total") == rejected + 1, 5)
    [file] = (tmp_path / "rejected").iterdir()
    assert file.read_bytes() == poison + b"\n"


def test_records_reach_the_database_while_the_disk_is_full(tmp_path, loader, entries, wait_for) -> None:
    writer = LogWriter("entries", FullDisk(tmp_path), loader)
    writer.store([line_of(1)])
    wait_for(lambda: entries() == [1], 5)
    writer.close()


def test_memory_is_bounded_and_lost_records_counted(tmp_path, loader, entries, monkeypatch) -> None:
    lost = metric("records_lost_total", reason="memory_full")
    monkeypatch.setattr(module, "MAX_MEMORY_BYTES", 200)
    monkeypatch.setattr(module, "LOAD_INTERVAL_S", 60)
    writer = LogWriter("entries", FullDisk(tmp_path), loader)
    writer.store([line_of(number) for number in range(10)])
    n_lost = metric("records_lost_total", reason="memory_full") - lost
    writer.close()
    assert 5 < n_lost < 10
    assert len(entries()) == 10 - n_lost


def test_records_that_were_not_loaded_at_the_end_are_taken_over(
    tmp_path, loader, entries, monkeypatch, wait_for
) -> None:
    load = loader.load

    def fail(lines):
        raise DatabaseAwayError("away")

    monkeypatch.setattr(loader, "load", fail)
    first = LogWriter("entries", RecordSpool(tmp_path), loader)
    first.store([line_of(1)])
    first.close()
    monkeypatch.setattr(loader, "load", load)
    second = LogWriter("entries", RecordSpool(tmp_path), loader)
    wait_for(lambda: entries() == [1], 5)
    second.close()


def test_the_log_is_marked_once_all_is_loaded(writer, loader, entries, database, monkeypatch, wait_for):
    def complete_until():
        with database.connect() as connection:
            return connection.scalar(select(log_watermark.c.complete_until))

    monkeypatch.setattr(module, "MARK_INTERVAL_S", 0.0)
    first = datetime(2026, 1, 1, tzinfo=UTC)
    writer.store([line_of(1)])
    wait_for(lambda: entries() == [1], 5)
    assert complete_until() is None
    writer.store([], until=first)
    wait_for(lambda: complete_until() == first, 5)
    load = loader.load
    monkeypatch.setattr(loader, "load", fail)
    writer.store([line_of(2)], until=first + timedelta(minutes=1))
    wait_for(lambda: metric("database_away") == 1, 5)
    assert complete_until() == first
    monkeypatch.setattr(loader, "load", load)
    wait_for(lambda: complete_until() == first + timedelta(minutes=1), 5)
    assert entries() == [1, 2]
