from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import text

from include.database.ledger import Entry, append
from include.database.ledger_chain import chain_faults, missing_anchors, newest_hash, read_chain

EVIDENCE = {
    "gain": 0.10,
    "large": 1e20,
    "text": 'ü "quoted" \n',
    "list": [1, 2.50, None, True],
    "z": {"a": 0},
}


@pytest.fixture
def chain(database):
    with database.begin() as connection:
        for version in range(1, 5):
            append(connection, Entry("model", "registered", "ann", "passed", version, EVIDENCE))
        append(connection, Entry("other", "decided", "ann", "nothing"))
    with database.connect() as connection:
        return read_chain(connection, "model")


def tamper(database, statement):
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE ledger DISABLE TRIGGER ledger_is_append_only"))
        connection.execute(text(statement))


def faults(database):
    with database.connect() as connection:
        return chain_faults(read_chain(connection, "model"))


def test_written_entries_are_a_valid_chain(database, chain):
    assert chain_faults(chain) == []
    assert chain[0].previous_hash == ""
    assert chain[0].values["evidence"] == EVIDENCE
    with database.connect() as connection:
        assert newest_hash(connection, "model") == chain[-1].hash
        assert newest_hash(connection, "unknown") == ""


@pytest.mark.parametrize(
    "change",
    [
        "reason = 'better'", "evidence = '{}'", "actor = 'eve'", "at = at + interval '1 microsecond'",
        "version = NULL", "dedup_key = 'key'", "event = 'refused'",
    ],
)  # fmt: skip
def test_changed_entry_is_found(database, chain, change):
    entry = chain[1].values["id"]
    tamper(database, f"UPDATE ledger SET {change} WHERE id = {entry}")
    (fault,) = faults(database)
    assert fault.startswith(f"entry {entry} (")
    assert fault.endswith("was changed after it was written")


@pytest.mark.parametrize("position", [0, 1, 2])
def test_removed_entry_is_found(database, chain, position):
    tamper(database, f"DELETE FROM ledger WHERE id = {chain[position].values['id']}")
    (fault,) = faults(database)
    following = chain[position + 1].values["id"]
    assert fault.startswith(f"an entry before entry {following} (")


def test_cut_tail_is_found_by_an_anchor(database, chain):
    tamper(database, f"DELETE FROM ledger WHERE id = {chain[-1].values['id']}")
    assert faults(database) == []
    with database.connect() as connection:
        entries = read_chain(connection, "model")
    anchors = [(chain[-1].hash, "the certificate"), (chain[0].hash, "an export"), ("", "an old certificate")]
    (fault,) = missing_anchors(entries, anchors)
    assert fault.startswith("the certificate names the entry")


def test_entry_with_new_hash_breaks_the_next_link(chain):
    changed = replace(chain[1], content=chain[1].content.replace("passed", "better"))
    assert len(chain_faults([chain[0], changed, *chain[2:]])) == 1
    rewritten = replace(changed, hash="0" * 64)
    assert len(chain_faults([chain[0], rewritten, *chain[2:]])) == 2


def test_concurrent_appends_are_one_chain(database):
    def write(number):
        with database.begin() as connection:
            append(connection, Entry("model", "decided", "ann", f"step {number}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    with database.connect() as connection:
        entries = read_chain(connection, "model")
    assert len(entries) == 40
    assert chain_faults(entries) == []


def test_writer_cannot_give_time_or_hash(database):
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO ledger (use_case, event, actor, reason, at, hash, previous_hash) "
                "VALUES ('model', 'decided', 'eve', 'early', '2001-01-01', 'abc', 'def')"
            )
        )
    assert faults(database) == []
    with database.connect() as connection:
        assert read_chain(connection, "model")[0].values["at"] > "2020"


def test_chain_is_read_alike_in_every_time_zone(database, chain):
    with database.begin() as connection:
        connection.execute(text("SET LOCAL TimeZone = 'Asia/Kolkata'"))
        append(connection, Entry("model", "decided", "ann", "elsewhere"))
        assert chain_faults(read_chain(connection, "model")) == []
