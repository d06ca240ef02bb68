from __future__ import annotations

import pytest
from sqlalchemy import text

from include.database.ledger import Entry, append


@pytest.fixture
def ledger(database, database_url, keys, tmp_path, set_settings):
    """Write two entries about `model` and use this database; MLflow does not run."""
    (tmp_path / "keys").symlink_to(keys)
    set_settings(home=tmp_path, database_url=database_url, mlflow_uri="http://127.0.0.1:9")
    with database.begin() as connection:
        for reason in ("first", "second"):
            append(connection, Entry("model", "decided", "ann", reason))
    return database


def test_export_of_a_model_verifies_without_the_stack(ledger, airworthy, tmp_path, set_settings):
    path = tmp_path / "model.json"
    assert airworthy("ledger", "export", "model", "--to", path).code == 0
    set_settings(home=tmp_path / "elsewhere", database_url="")
    result = airworthy("ledger", "check", path)
    assert result.code == 0
    assert "valid: model, 2 entries, newest " in result.out
    path.write_text(path.read_text().replace("second", "better"))
    result = airworthy("ledger", "check", path, "--json")
    assert result.code == 1
    assert "was changed" in result.value[0]["faults"][0]


def test_changed_entry_ends_verification_with_1(ledger, airworthy):
    result = airworthy("ledger", "verify")
    assert (result.code, result.out.split(",")[0]) == (0, "valid: model")
    assert "note: the role of this connection could change the ledger" in result.out
    with ledger.begin() as connection:
        connection.execute(text("ALTER TABLE ledger DISABLE TRIGGER ledger_is_append_only"))
        connection.execute(text("UPDATE ledger SET actor = 'eve' WHERE reason = 'first'"))
    result = airworthy("ledger", "verify", "model")
    assert result.code == 1
    assert result.out.startswith("INVALID: model")


def test_removed_tail_is_found_against_an_export(ledger, airworthy, tmp_path):
    path = tmp_path / "model.json"
    airworthy("ledger", "export", "model", "--to", path)
    with ledger.begin() as connection:
        connection.execute(text("ALTER TABLE ledger DISABLE TRIGGER ledger_is_append_only"))
        connection.execute(text("DELETE FROM ledger WHERE reason = 'second'"))
    assert airworthy("ledger", "verify").code == 0
    assert airworthy("ledger", "verify", "--against", path).code == 1


def test_export_replaces_no_file_and_names_unknown_models(ledger, airworthy, tmp_path):
    path = tmp_path / "model.json"
    path.touch()
    assert "Name a file that does not exist" in airworthy("ledger", "export", "model", "--to", path).err
    assert "no entry about unknown" in airworthy("ledger", "export", "unknown", "--to", path).err
