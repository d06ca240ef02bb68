from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime

import pytest
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
    """Let the database take connections, or take none and drop those it has: so it is away."""
    address, name = database_url.rsplit("/", 1)
    admin = create_engine(f"{address}/postgres", isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {connections}'))
        if not connections:
            connection.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": name})  # fmt: skip  # noqa: E501
    admin.dispose()


def test_a_record_is_written_within_a_moment(log, database, wait_for) -> None:
    log.record(record(1))
    wait_for(lambda: count(database) == 1, 3)


def test_the_same_request_twice_is_one_record(log, database, wait_for) -> None:
    for _ in range(3):
        log.record(record(1))
    log.record(record(1, role="shadow", version=2))
    log.close()
    assert count(database) == 2


def test_what_waits_is_written_at_the_end(log, database) -> None:
    for number in range(1_700):
        log.record(record(number))
    log.close()
    assert count(database) == 1_700


def test_while_the_database_is_away_records_wait_on_disk_and_then_arrive_once(
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


def test_a_process_that_ends_while_the_database_is_away_leaves_its_records_to_the_next(
    database, database_url, tmp_path, wait_for
) -> None:
    nowhere = database_url.replace("@127.0.0.1:", "@127.0.0.1:1")[: database_url.rfind("/")] + "/nowhere"
    first = InferenceLog(nowhere, tmp_path / "spool")
    first.record(record(1))
    first.close()
    second = InferenceLog(database_url, tmp_path / "spool")
    wait_for(lambda: count(database) == 1)
    second.close()


def test_a_database_that_hangs_at_the_end_loses_nothing(
    log, database, database_url, tmp_path, wait_for
) -> None:
    with database.begin() as connection:
        connection.execute(text("LOCK TABLE inference_log IN ACCESS EXCLUSIVE MODE"))
        log.record(record(1))
        time.sleep(0.5)  # now it hangs with the first
        log.record(record(2))
        log.close()
    second = InferenceLog(database_url, tmp_path / "spool")
    wait_for(lambda: count(database) == 2)
    second.close()


def test_one_record_that_the_database_refuses_takes_no_other_with_it(log, database) -> None:
    log.record(record(1))
    log.record(record(2, inputs=[{"x": "\x00"}]))
    log.record(record(3))
    log.close()
    assert count(database) == 2


def test_half_a_line_of_a_killed_process_hides_no_other_line(tmp_path) -> None:
    spool = Spool(tmp_path)
    row = {"request_id": "r", "received_at": datetime.now(UTC)}
    spool.append([row])
    with (tmp_path / "waiting.jsonl").open("a") as file:
        file.write(json.dumps({"half": 1})[:5] + "\n")
    spool.append([row])
    assert [row for chunk in spool.chunks() for row in chunk] == [row, row]
    assert os.listdir(tmp_path) == ["lock"]  # noqa: PTH208


def test_a_spool_keeps_every_row_of_many_chunks_and_gives_it_again_if_it_was_not_taken(tmp_path) -> None:
    spool = Spool(tmp_path)
    moment = datetime.now(UTC)
    spool.append([{"request_id": str(number), "received_at": moment} for number in range(1_234)])
    next(spool.chunks())  # and then the process dies
    assert [int(row["request_id"]) for chunk in spool.chunks() for row in chunk] == list(range(1_234))
