from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from itertools import chain

import pytest
from filelock import FileLock, Timeout
from sqlalchemy import create_engine, func, select, text

from include.database.tables import inference_log
from include.serving.model_server.inference_log import InferenceLog, Record, Spool


def record(number: int, **changes) -> Record:
    values = {
        "use_case": "delay", "request_id": f"r{number}", "version": 1, "role": "champion", "entity_id": None,
        "received_at": datetime.now(UTC), "latency_ms": 1.0, "status": 200, "inputs": [{"x": number}],
        "predictions": [0.5],
    }  # fmt: skip
    return Record(**values | changes)


@pytest.fixture
def log(database_url: str, tmp_path):
    built = InferenceLog(database_url, tmp_path / "spool")
    yield built
    built.close()


def count(engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(inference_log))


def allow(database_url: str, *, connections: bool) -> None:
    """Make the database accept connections, or reject new ones and end those that exist."""
    address, name = database_url.rsplit("/", 1)
    admin = create_engine(f"{address}/postgres", isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {connections}'))
        if not connections:
            connection.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": name})  # fmt: skip  # noqa: E501
    admin.dispose()


def test_a_record_is_written_soon(log, database, wait_for) -> None:
    log.record(record(1))
    wait_for(lambda: count(database) == 1, 3)


def test_a_repeated_request_is_one_record(log, database, wait_for) -> None:
    for _ in range(3):
        log.record(record(1))
    log.record(record(1, role="shadow", version=2))
    log.close()
    assert count(database) == 2


def test_queued_records_are_written_on_close(log, database) -> None:
    for number in range(1_700):
        log.record(record(number))
    log.close()
    assert count(database) == 1_700


def test_records_are_spooled_while_the_database_is_away(
    log, database, database_url, tmp_path, wait_for
) -> None:
    log.record(record(0))
    wait_for(lambda: count(database) == 1)
    database.dispose()
    allow(database_url, connections=False)
    for number in range(1, 1_301):
        log.record(record(number))
    wait_for(lambda: any((tmp_path / "spool").glob("*.jsonl")), 5)
    allow(database_url, connections=True)
    for number in range(1_301, 1_401):
        log.record(record(number))
    wait_for(lambda: count(database) == 1_401, 10)
    wait_for(lambda: not [*(tmp_path / "spool").glob("*.jsonl"), *(tmp_path / "spool").glob("*.ready")])


def test_spooled_records_of_an_ended_process_are_written(database, database_url, tmp_path, wait_for) -> None:
    nowhere = database_url.replace("@127.0.0.1:", "@127.0.0.1:1")[: database_url.rfind("/")] + "/nowhere"
    first = InferenceLog(nowhere, tmp_path / "spool")
    first.record(record(1))
    first.close()
    second = InferenceLog(database_url, tmp_path / "spool")
    wait_for(lambda: count(database) == 1)
    second.close()


def test_a_database_that_hangs_on_close_loses_no_record(
    log, database, database_url, tmp_path, wait_for
) -> None:
    def insert_waits() -> bool:
        with database.connect() as monitor:
            return monitor.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")) > 0

    with database.begin() as connection:
        connection.execute(text("LOCK TABLE inference_log IN ACCESS EXCLUSIVE MODE"))
        log.record(record(1))
        wait_for(insert_waits)
        log.record(record(2))
        log.close()
    second = InferenceLog(database_url, tmp_path / "spool")
    wait_for(lambda: count(database) == 2)
    second.close()


def test_a_rejected_record_does_not_affect_others(log, database) -> None:
    log.record(record(1))
    log.record(record(2, inputs=[{"x": "\x00"}]))
    log.record(record(3))
    log.close()
    assert count(database) == 2


def test_an_incomplete_line_hides_no_other_line(tmp_path) -> None:
    spool = Spool(tmp_path)
    row = {"request_id": "r", "received_at": datetime.now(UTC)}
    spool.append([row])
    with (tmp_path / "waiting.jsonl").open("a") as file:
        file.write(json.dumps({"half": 1})[:5] + "\n")
    spool.append([row])
    assert list(chain.from_iterable(spool.chunks())) == [row, row]
    assert os.listdir(tmp_path) == ["lock"]  # noqa: PTH208


def test_a_spool_yields_chunks_again_after_an_interruption(tmp_path) -> None:
    spool = Spool(tmp_path)
    moment = datetime.now(UTC)
    spool.append([{"request_id": str(number), "received_at": moment} for number in range(1_234)])
    next(spool.chunks())  # then the process dies
    rows = chain.from_iterable(spool.chunks())
    assert [int(row["request_id"]) for row in rows] == list(range(1_234))


def test_the_lock_of_a_spool_excludes_other_processes(tmp_path) -> None:
    spool = Spool(tmp_path)
    with spool._lock(), pytest.raises(Timeout):
        FileLock(tmp_path / "lock", timeout=0).acquire()
    FileLock(tmp_path / "lock", timeout=0).acquire().lock.release()
