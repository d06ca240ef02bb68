from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from include.database.ledger import (
    Entry,
    append,
    champion_at,
    ledger_entries,
    refusals_since_promotion,
    require_registered,
    require_version,
    versions_in_ledger,
)
from include.errors import ReleaseError


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger SET reason = 'better'",
        "UPDATE ledger SET reason = 'better' WHERE use_case = 'other'",
        "DELETE FROM ledger",
        "TRUNCATE ledger",
    ],
)
def test_change_of_a_written_entry_is_refused(database, statement):
    with database.begin() as connection:
        append(connection, Entry("fixed", "refused", "ann", "too slow", 1, dedup_key=f"fixed {statement}"))
    with pytest.raises(DBAPIError, match="append-only"), database.begin() as connection:
        connection.execute(text(statement))
    with database.connect() as connection:
        assert ledger_entries(connection, "fixed")[0]["reason"] == "too slow"


def test_repeated_step_is_written_once(database):
    for _ in range(3):
        with database.begin() as connection:
            append(connection, Entry("once", "refused", "ann", "too slow", 4, dedup_key="once/4"))
    with database.connect() as connection:
        assert [entry["version"] for entry in ledger_entries(connection, "once")] == [4]


def test_entries_without_a_key_are_all_written(database):
    with database.begin() as connection:
        for _ in range(2):
            append(connection, Entry("twice", "decided", "ann", "nothing"))
    with database.connect() as connection:
        assert len(ledger_entries(connection, "twice")) == 2


def test_key_of_another_step_is_refused(database):
    with database.begin() as connection:
        append(connection, Entry("first", "shifted", "ann", "2 %", 1, dedup_key="canary-2"))
    with pytest.raises(ReleaseError, match="canary-2"), database.begin() as connection:
        append(connection, Entry("second", "shifted", "ann", "2 %", 1, dedup_key="canary-2"))


def test_entry_of_a_failed_transaction_is_not_written(database):
    with database.connect() as connection, connection.begin() as transaction:
        append(connection, Entry("undone", "promoted", "ann", "better", 1))
        transaction.rollback()
    with database.connect() as connection:
        assert ledger_entries(connection, "undone") == []


def test_champion_at_returns_the_promotion_before_a_moment(database):
    before = datetime.now(UTC) - timedelta(hours=1)
    for version, event in ((1, "promoted"), (2, "promoted"), (3, "refused"), (1, "rolled_back")):
        with database.begin() as connection:
            append(connection, Entry("history", event, "ann", f"{event} {version}", version))
    with database.connect() as connection:
        written = {entry["reason"]: entry["at"] for entry in ledger_entries(connection, "history")}
        assert champion_at(connection, "history", before) is None
        assert champion_at(connection, "history", written["refused 3"])["version"] == 2
        assert champion_at(connection, "history", datetime.now(UTC))["reason"] == "rolled_back 1"


def test_refusals_count_from_the_last_promotion(database):
    for version, event in ((1, "refused"), (2, "promoted"), (3, "refused"), (4, "refused"), (5, "decided")):
        with database.begin() as connection:
            append(connection, Entry("tries", event, "ann", event, version))
    with database.connect() as connection:
        assert refusals_since_promotion(connection, "tries") == 2
        assert refusals_since_promotion(connection, "never tried") == 0


def test_repeated_attempt_counts_once_by_its_last_event(database):
    events = [("refused", "a"), ("refused", "a"), ("refused", "b"), ("rejected", "b"), ("refused", "c")]
    events += [("registered", "c"), ("rejected", None)]
    with database.begin() as connection:
        for event, attempt in events:
            evidence = {"attempt": attempt} if attempt else {}
            append(connection, Entry("again", event, "ann", event, evidence=evidence))
    with database.connect() as connection:
        assert refusals_since_promotion(connection, "again") == 3
        assert refusals_since_promotion(connection, "again", attempt="a") == 2
        assert refusals_since_promotion(connection, "again", attempt="d") == 3


def test_unregistered_version_is_refused_with_the_nearest(database):
    with database.begin() as connection:
        with pytest.raises(ReleaseError, match="none was yet: run known_training"):
            require_version(connection, "known", 4)
        for version in range(1, 9):
            append(connection, Entry("known", "registered", "ann", "passed", version))
        append(connection, Entry("other", "registered", "ann", "passed", 12))
        require_version(connection, "known", 8)
        assert versions_in_ledger(connection, "known", limit=2) == [8, 7]
        with pytest.raises(ReleaseError, match="the nearest that were are 8, 7, 6, 5, 4"):
            require_version(connection, "known", 12)


def test_version_is_the_model_that_was_registered_first(database):
    with database.begin() as connection:
        for digest in ("abc", "def"):
            append(connection, Entry("known", "registered", "ann", "passed", 3, {"digest": digest}))
        require_registered(connection, "known", 3, "abc")
        with pytest.raises(
            ReleaseError, match="version 3 was registered as the model abc, but MLflow has the"
        ):
            require_registered(connection, "known", 3, "def")
        with pytest.raises(ReleaseError, match="no registration of known version 4"):
            require_registered(connection, "known", 4, "abc")
