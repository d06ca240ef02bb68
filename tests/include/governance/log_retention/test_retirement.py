"""Old days of the logs, from PostgreSQL to a lake on disk."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import func, select

from include.catalog import Catalog, catalog
from include.data.lake.erasure import Entity
from include.database.tables import access_log, inference_log, request_count
from include.errors import ServiceUnavailable
from include.governance.erasure import EntityStores, erase_entity, plan_erasure
from include.governance.log_retention import retirement
from include.governance.log_retention.retirement import RetiredDay, retained_days, retire_logs
from include.pseudonyms import pseudonym
from include.use_cases.flight_delay import USE_CASE
from tests.access_rows import log_requests

OLD = datetime(2026, 1, 5, 10, 30, tzinfo=UTC)
DAY = OLD.date()
NOW = OLD + timedelta(days=200)
TABLE = f"{USE_CASE.name}_requests"
KEY = "a key"


def row(number, received_at=OLD, **changes):
    record = {
        "use_case": USE_CASE.name, "request_id": f"r{number}", "version": 1, "role": "champion",
        "entity_id": f"UA{number}", "received_at": received_at + timedelta(minutes=number), "latency_ms": 4.0,
        "status": 200, "inputs": [{"carrier": "UA", "distance": 700}], "predictions": [0.5],
    }  # fmt: skip
    return record | changes


def retire(database, lake, now=NOW):
    return retire_logs(database, lake, catalog(), now=now)


def count(database, table):
    with database.connect() as connection:
        return connection.scalar(select(func.count()).select_from(table))


def counted(database, log):
    columns = request_count.c
    query = select(columns.hour, columns.requests).where(columns.log == log).order_by(columns.hour)
    with database.connect() as connection:
        return [(moment.hour, requests) for moment, requests in connection.execute(query)]


def test_old_day_is_exported_counted_and_deleted(database, lake):
    log_requests(database, [row(n) for n in range(40)])
    log_requests(database, [row(1, received_at=NOW, request_id="new")])
    assert retire(database, lake) == [
        RetiredDay(TABLE, DAY, 40),
        RetiredDay("airworthy_access_log", DAY, 40),
    ]
    assert (count(database, inference_log), count(database, access_log)) == (1, 1)
    rows = lake.read(TABLE, [DAY])
    assert len(rows) == 40
    assert set(rows["carrier"]) == {"UA"}
    assert set(rows["distance"]) == {"700"}
    assert sorted(rows["flight_id"])[0] == "UA0"
    entries = lake.read("airworthy_access_log", [DAY])
    assert len(entries) == 40
    assert not {"_airworthy_client", "_airworthy_entity_hash"} & set(entries)
    assert counted(database, "access_log") == counted(database, "inference_log") == [(10, 30), (11, 10)]
    assert retire(database, lake) == []


def test_requests_within_the_retention_stay(database, lake):
    days = retained_days(USE_CASE)
    log_requests(database, [row(1)])
    assert retire(database, lake, OLD + timedelta(days=days)) == []
    assert retire(database, lake, OLD + timedelta(days=days + 1)) != []


def test_retention_is_at_least_what_monitoring_reads():
    short = USE_CASE.model_copy(update={"serving": USE_CASE.serving.model_copy(update={"log_days": 1})})
    assert retained_days(short) > max(short.slo.window_days, 4 * short.drift.window_days) - 1
    assert retained_days(USE_CASE) == 90 == retained_days(None)


def test_nothing_is_deleted_that_the_lake_does_not_have(database, lake, monkeypatch):
    log_requests(database, [row(n) for n in range(3)])

    def fail(*_, **__):
        raise ServiceUnavailable("the store is away")

    with monkeypatch.context() as patch:
        patch.setattr(type(lake), "publish", fail)
        with pytest.raises(ServiceUnavailable):
            retire(database, lake)
    assert count(database, inference_log) == 3
    assert retire(database, lake)[0].rows == 3


@pytest.mark.parametrize("step", ["_mark", "_delete_rows"])
def test_killed_retirement_goes_on(database, lake, monkeypatch, step):
    log_requests(database, [row(n) for n in range(5)])
    monkeypatch.setattr(retirement, "DELETE_ROWS", 2)
    done = getattr(retirement, step)

    def die(*arguments):
        if step == "_delete_rows":
            with database.begin() as connection:
                connection.exec_driver_sql("DELETE FROM inference_log WHERE request_id IN ('r0', 'r1')")
        raise KeyboardInterrupt

    monkeypatch.setattr(retirement, step, die)
    with pytest.raises(KeyboardInterrupt):
        retire(database, lake)
    monkeypatch.setattr(retirement, step, done)
    retire(database, lake)
    assert count(database, inference_log) == 0
    assert sorted(lake.read(TABLE, [DAY])["_airworthy_request_id"]) == ["r0", "r1", "r2", "r3", "r4"]
    assert counted(database, "inference_log") == [(10, 5)]


def test_record_that_arrives_after_the_export_stays(database, lake, monkeypatch):
    log_requests(database, [row(1)])
    mark = retirement._mark

    def mark_and_log(engine, lake, logged):
        mark(engine, lake, logged)
        if logged.use_case:
            log_requests(database, [row(2)])

    with monkeypatch.context() as patch:
        patch.setattr(retirement, "_mark", mark_and_log)
        retire(database, lake)
    assert count(database, inference_log) == 1
    retire(database, lake)
    assert count(database, inference_log) == 0
    assert sorted(lake.read(TABLE, [DAY])["_airworthy_request_id"]) == ["r1", "r2"]
    assert counted(database, "inference_log") == [(10, 2)]


def test_record_between_export_and_count_is_counted_once(database, lake, monkeypatch):
    log_requests(database, [row(1)])
    mark = retirement._mark

    def log_and_mark(engine, lake, logged):
        if logged.use_case:
            log_requests(database, [row(2)])
        mark(engine, lake, logged)

    with monkeypatch.context() as patch:
        patch.setattr(retirement, "_mark", log_and_mark)
        retire(database, lake)
    assert counted(database, "inference_log") == [(10, 1)]
    retire(database, lake)
    assert count(database, inference_log) == 0
    assert counted(database, "inference_log") == [(10, 2)]


def test_late_record_is_added_to_its_exported_day(database, lake):
    log_requests(database, [row(1)])
    retire(database, lake)
    log_requests(database, [row(2, inputs=[{"carrier": "AA", "hour": 7}])])
    assert retire(database, lake)[0].rows == 1
    rows = lake.read(TABLE, [DAY]).set_index("_airworthy_request_id")
    assert rows["carrier"].to_dict() == {"r1": "UA", "r2": "AA"}
    assert rows["distance"]["r1"] == "700"
    assert counted(database, "inference_log") == [(10, 2)]


def test_requests_of_another_kind_are_exported(database, lake):
    several = [{"carrier": "UA", "delayed": True, "note": None}, {"carrier": "AA", "delayed": False}]
    log_requests(
        database,
        [
            row(1, inputs=several, predictions=[[0.2, 0.8], [0.6, 0.4]]),
            row(2, status=500, inputs=None, predictions=None),
            row(3, use_case="gone", inputs="a text"),
        ],
    )
    retire(database, lake)
    rows = lake.read(TABLE, [DAY])
    assert rows["_airworthy_prediction"].tolist()[:2] == ["[0.2, 0.8]", "[0.6, 0.4]"]
    assert rows["delayed"].tolist()[:2] == ["true", "false"]
    assert len(rows) == 3
    assert len(lake.read("gone_requests", [DAY])) == 1


def test_erasure_finds_exported_requests(database, lake):
    log_requests(
        database,
        [
            row(1, entity_id="UA1", inputs=[{"carrier": "UA"}]),
            row(2, entity_id=None, inputs=[{"flight_id": pseudonym("UA1", KEY)}, {"flight_id": "UA9"}]),
            row(3),
        ],
    )
    retire(database, lake)
    declared = catalog()
    stores = EntityStores(Catalog({}, declared.feature_views, declared.use_cases), lake, database, KEY)
    plan = plan_erasure(stores, Entity("flight_id", "UA1"))
    assert [(erasure.table, erasure.rows) for erasure in plan.tables] == [(TABLE, 2)]
    stores = EntityStores(Catalog({}, {}, {}), lake, database, KEY)
    erase_entity(stores, Entity("flight_id", "UA1"), plan, actor="ann", reason="asked for it")
    assert sorted(lake.read(TABLE, [DAY])["flight_id"]) == ["UA3", "UA9"]


def test_first_day_is_the_oldest_record(database, lake):
    log_requests(database, [row(1), row(2, received_at=OLD - timedelta(days=3))])
    days = [day.day for day in retire(database, lake) if day.table == TABLE]
    assert days == [date(2026, 1, 2), DAY]
