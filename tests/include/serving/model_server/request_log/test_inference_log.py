from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import create_engine, func, select, text

from include.database.tables import inference_log
from include.serving.model_server.logged_values import LoggedValues
from include.serving.model_server.request_log import inference_log as module
from include.serving.model_server.request_log.inference_log import InferenceLog
from include.serving.model_server.request_log.request_record import Record

if TYPE_CHECKING:
    from pathlib import Path

LOST = {"log": "inference_log", "reason": "queue_full"}


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


def set_read_only(database_url: str, *, on: bool) -> None:
    """Let the database refuse writes, as a server that is not the primary any more."""
    address, name = database_url.rsplit("/", 1)
    admin = create_engine(f"{address}/postgres", isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {on}'))
        connection.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": name})  # fmt: skip  # noqa: E501
    admin.dispose()


def spooled(folder: Path) -> list[Path]:
    """Return the files of a spool that are not empty."""
    files = [*folder.rglob("*.jsonl"), *folder.rglob("*.open")]
    return [file for file in files if file.exists() and file.stat().st_size]


def test_a_record_is_written_soon(log, database, wait_for) -> None:
    log.record(record(1))
    wait_for(lambda: count(database) == 1, 3)


def test_a_repeated_request_id_is_logged_each_time(log, database) -> None:
    for _ in range(3):
        log.record(record(1))
    log.record(record(1, role="shadow", version=2))
    log.close()
    assert count(database) == 4


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
    wait_for(lambda: spooled(tmp_path / "spool"), 30)
    allow(database_url, connections=True)
    for number in range(1_301, 1_401):
        log.record(record(number))
    wait_for(lambda: count(database) == 1_401, 10)
    wait_for(lambda: not spooled(tmp_path / "spool"))


def test_a_read_only_database_loses_no_record(log, database, database_url, tmp_path, wait_for) -> None:
    log.record(record(0))
    wait_for(lambda: count(database) == 1)
    database.dispose()
    set_read_only(database_url, on=True)
    for number in range(1, 41):
        log.record(record(number))
    wait_for(lambda: spooled(tmp_path / "spool"), 5)
    set_read_only(database_url, on=False)
    wait_for(lambda: count(database) == 41, 10)


def test_two_processes_share_a_spool_folder_through_two_outages(database, database_url, tmp_path, wait_for):
    logs = [InferenceLog(database_url, tmp_path / "spool") for _ in range(2)]
    number = 0
    for _ in range(2):
        database.dispose()
        allow(database_url, connections=False)
        for _ in range(50):
            for log in logs:
                log.record(record(number))
                number += 1
        wait_for(lambda: spooled(tmp_path / "spool"), 5)
        allow(database_url, connections=True)
        wait_for(lambda expected=number: count(database) == expected, 15)
    for log in logs:
        log.close()


def test_a_full_queue_drops_and_counts(log, database, monkeypatch) -> None:
    lost = REGISTRY.get_sample_value("airworthy_log_records_lost_total", LOST) or 0
    monkeypatch.setattr(module, "MAX_QUEUED_BYTES", 1_000)
    log.record(record(1, inputs=[{"x": 1}] * 1_000))
    log.record(record(2))
    log.close()
    assert count(database) == 1
    assert REGISTRY.get_sample_value("airworthy_log_records_lost_total", LOST) == lost + 1


def test_personal_values_never_reach_the_disk(database_url, tmp_path, wait_for) -> None:
    logged = LoggedValues(frozenset({"name"}), frozenset({"age"}), is_entity_personal=True, key="k")
    nowhere = database_url[: database_url.rfind("/")] + "/nowhere"
    log = InferenceLog(nowhere, tmp_path / "spool", logged)
    log.record(record(1, entity_id="ann", inputs=[{"name": "ann", "age": 47, "x": 1}]))
    log.close()
    text = b"".join(file.read_bytes() for file in spooled(tmp_path / "spool"))
    assert b"pseudonym:" in text
    assert b"ann" not in text
    assert b"47" not in json.dumps(json.loads(text)["inputs"]).encode()


def test_spooled_records_of_an_ended_process_are_written(database, database_url, tmp_path, wait_for) -> None:
    nowhere = database_url[: database_url.rfind("/")] + "/nowhere"
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
