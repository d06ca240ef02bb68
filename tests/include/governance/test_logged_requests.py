from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import insert, select

from include.database.tables import access_log, inference_log
from include.governance.logged_requests import count_requests, erase_requests
from include.pseudonyms import pseudonym
from tests.access_rows import access_row

KEY = "a key"


@pytest.fixture
def log(database):
    """Return a function that logs a request."""

    def run(request_id, inputs, *, entity=None, use_case="late"):
        row = {
            "use_case": use_case, "request_id": request_id, "version": 1, "role": "champion",
            "entity_id": entity, "received_at": datetime(2013, 7, 1, tzinfo=UTC), "latency_ms": 1.0,
            "status": 200, "inputs": inputs, "predictions": [0.5 + n for n in range(len(inputs))],
        }  # fmt: skip
        with database.begin() as connection:
            connection.execute(insert(inference_log).values(row))

    return run


def remaining(database):
    query = select(inference_log.c.request_id, inference_log.c.inputs, inference_log.c.predictions)
    with database.connect() as connection:
        return {row.request_id: (row.inputs, row.predictions) for row in connection.execute(query)}


def test_erased_requests_are_deleted_in_every_form(database, log):
    log("by header", [{"hour": 1}], entity=pseudonym("ann", KEY))
    log("by pseudonym", [{"person": pseudonym("ann", KEY), "hour": 1}])
    log("in clear", [{"person": "ann", "hour": 1}])
    log("other", [{"person": "bob", "hour": 1}], entity="bob")
    log("other entity", [{"hour": 1}], entity="ann", use_case="machines")
    with database.connect() as connection:
        assert count_requests(connection, "person", "ann", use_cases=["late"], key=KEY) == 3
    assert erase_requests(database, "person", "ann", use_cases=["late"], key=KEY) == 3
    assert sorted(remaining(database)) == ["other", "other entity"]


def test_request_of_several_rows_keeps_the_others(database, log):
    log("many", [{"person": "ann"}, {"person": "bob"}, {"person": "carl"}])
    erase_requests(database, "person", "ann", use_cases=[], key=KEY)
    assert remaining(database) == {"many": ([{"person": "bob"}, {"person": "carl"}], [1.5, 2.5])}


def test_numeric_entity_is_found_as_a_number(database, log):
    log("number", [{"person": 17}])
    log("other", [{"person": 170}])
    assert erase_requests(database, "person", "17", use_cases=[], key=KEY) == 1
    assert list(remaining(database)) == ["other"]


def test_access_log_loses_the_pseudonym_of_the_entity(database):
    entries = [access_row(use_case="late", entity_hash=pseudonym(name, KEY)) for name in ("ann", "bob")]
    entries.append(access_row(use_case="other", entity_hash=pseudonym("ann", KEY)))
    with database.begin() as connection:
        connection.execute(insert(access_log), entries)
    erase_requests(database, "person", "ann", use_cases=["late"], key=KEY)
    with database.connect() as connection:
        remaining_hashes = list(connection.scalars(select(access_log.c.entity_hash)))
    assert remaining_hashes.count(None) == 1
    assert pseudonym("bob", KEY) in remaining_hashes
