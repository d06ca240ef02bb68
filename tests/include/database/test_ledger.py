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
)
from include.errors import ReleaseError


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger SET reason = 'better'",
        "UPDATE ledger SET reason = 'better' WHERE use_case = 'nobody'",
        "DELETE FROM ledger",
        "TRUNCATE ledger",
    ],
)
def test_the_database_refuses_to_change_what_was_written(database, statement):
    with database.begin() as connection:
        append(connection, Entry("kept", "refused", "ann", "too slow", 1, dedup_key=f"kept {statement}"))
    with pytest.raises(DBAPIError, match="append-only"), database.begin() as connection:
        connection.execute(text(statement))
    with database.connect() as connection:
        assert ledger_entries(connection, "kept")[0]["reason"] == "too slow"


def test_a_repeated_step_is_written_once(database):
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


def test_a_key_that_belongs_to_another_step_is_refused_and_never_swallows_it(database):
    with database.begin() as connection:
        append(connection, Entry("first", "shifted", "ann", "2 %", 1, dedup_key="canary-2"))
    with pytest.raises(ReleaseError, match="canary-2"), database.begin() as connection:
        append(connection, Entry("second", "shifted", "ann", "2 %", 1, dedup_key="canary-2"))


def test_an_entry_of_a_transaction_that_failed_is_not_there(database):
    with database.connect() as connection, connection.begin() as transaction:
        append(connection, Entry("undone", "promoted", "ann", "better", 1))
        transaction.rollback()
    with database.connect() as connection:
        assert ledger_entries(connection, "undone") == []


def test_tells_which_version_was_champion_at_a_moment_and_why(database):
    before = datetime.now(UTC) - timedelta(hours=1)
    for version, event in ((1, "promoted"), (2, "promoted"), (3, "refused"), (1, "rolled_back")):
        with database.begin() as connection:
            append(connection, Entry("history", event, "ann", f"{event} {version}", version))
    with database.connect() as connection:
        written = {entry["reason"]: entry["at"] for entry in ledger_entries(connection, "history")}
        assert champion_at(connection, "history", before) is None
        assert champion_at(connection, "history", written["refused 3"])["version"] == 2
        assert champion_at(connection, "history", datetime.now(UTC))["reason"] == "rolled_back 1"


def test_counts_the_challengers_that_were_refused_since_the_last_promotion(database):
    for version, event in ((1, "refused"), (2, "promoted"), (3, "refused"), (4, "refused"), (5, "decided")):
        with database.begin() as connection:
            append(connection, Entry("tries", event, "ann", event, version))
    with database.connect() as connection:
        assert refusals_since_promotion(connection, "tries") == 2
        assert refusals_since_promotion(connection, "never tried") == 0


def test_an_attempt_made_again_counts_once_as_it_ended_last_and_never_against_itself(database):
    ended = [("refused", "a"), ("refused", "a"), ("refused", "b"), ("rejected", "b"), ("refused", "c")]
    ended += [("registered", "c"), ("rejected", None)]
    with database.begin() as connection:
        for event, attempt in ended:
            about = {"attempt": attempt} if attempt else {}
            append(connection, Entry("again", event, "ann", event, evidence=about))
    with database.connect() as connection:
        assert refusals_since_promotion(connection, "again") == 3
        assert refusals_since_promotion(connection, "again", attempt="a") == 2
        assert refusals_since_promotion(connection, "again", attempt="d") == 3


def test_a_version_is_the_model_that_was_registered_first(database):
    with database.begin() as connection:
        for digest in ("one", "two"):
            append(connection, Entry("known", "registered", "ann", "passed", 3, {"digest": digest}))
        require_registered(connection, "known", 3, "one")
        with pytest.raises(
            ReleaseError, match="version 3 was registered as the model one, but MLflow has the"
        ):
            require_registered(connection, "known", 3, "two")
        with pytest.raises(ReleaseError, match="no registration of known version 4"):
            require_registered(connection, "known", 4, "one")
