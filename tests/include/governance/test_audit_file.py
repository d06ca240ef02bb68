from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from include.certificates.certificate import Claims, GateEvidence, issue_certificate, model_digest
from include.certificates.keys import generate_keys
from include.database.ledger import Entry, append
from include.database.ledger_chain import newest_hash
from include.errors import DataError, ServiceUnavailable
from include.governance import audit_file
from include.governance.audit_file import export_audit_file, read_audit_file, stack_faults, verify_audit_file

GATE = GateEvidence(gate="parity", outcome="pass", severity="block", reason="equal", figures={})


@pytest.fixture
def versions(tmp_path, keys, database, monkeypatch):
    """Register two versions of `model` and return their certificates by version."""
    certificates = {}
    for version in (1, 2):
        folder = tmp_path / str(version)
        folder.mkdir()
        (folder / "model.skops").write_text(f"model {version}")
        with database.begin() as connection:
            claims = Claims(
                use_case="model", snapshot={}, code_version="c", lock_hash="l", run_id="r", metrics={},
                gates=(GATE,), environment={}, ledger_hash=newest_hash(connection, "model"),
            )  # fmt: skip
            certificates[version] = issue_certificate(folder, claims, key_path=keys / "signing.pem")
            evidence = {"digest": model_digest(folder)}
            append(connection, Entry("model", "registered", "ann", "passed", version, evidence))
            append(connection, Entry("model", "promoted", "ann", "better", version))
    monkeypatch.setattr(audit_file, "registered_versions", lambda uri, use_case: set(certificates))
    monkeypatch.setattr(
        audit_file, "download_certificate", lambda uri, use_case, version: certificates[version]
    )
    return certificates


@pytest.fixture
def export(database, keys, versions):
    def run(use_case="model"):
        with database.connect() as connection:
            return export_audit_file(connection, use_case, mlflow_uri="unused", trusted=keys / "trusted")

    return run


def tamper(database, statement):
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE ledger DISABLE TRIGGER ledger_is_append_only"))
        connection.execute(text(statement))


def changed(file, change):
    content = json.loads(file.model_dump_json())
    change(content)
    return audit_file.AuditFile.model_validate(content)


def test_export_verifies_after_it_was_written_and_read(export, tmp_path, keys):
    path = tmp_path / "export.json"
    path.write_text(export().model_dump_json())
    for trusted in (None, keys / "trusted"):
        result = verify_audit_file(read_audit_file(path), trusted)
        assert (result.faults, result.notes) == ((), ())
        assert (result.entries, result.certificates) == (4, (1, 2))


def replace_author(content):
    entry = content["entries"][1]
    entry["content"] = entry["content"].replace("ann", "eve")


def replace_reason(content):
    content["certificates"]["1"] = content["certificates"]["1"].replace("equal", "other")


def exchange_certificate(content):
    content["certificates"]["1"] = content["certificates"]["2"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content["entries"].pop(1), "was removed or exchanged"),
        (replace_author, "was changed after it was written"),
        (
            lambda content: content["certificates"].update({"1": content["certificates"]["2"]}),
            "registered as",
        ),
        (lambda content: content["certificates"].pop("1"), "certificate of version 1 is not in the file"),
        (replace_reason, "altered"),
        (lambda content: content["keys"].clear(), "is unknown"),
        (lambda content: content.update(use_case="other"), "is about model, not about other"),
    ],
)
def test_change_of_an_exported_file_is_found(export, change, message):
    assert message in " ".join(verify_audit_file(changed(export(), change)).faults)


def test_cut_tail_is_found_by_the_newest_certificate(database, export):
    tamper(database, "DELETE FROM ledger WHERE id > (SELECT min(id) FROM ledger)")
    anchor, registration = verify_audit_file(export()).faults
    assert anchor.startswith("the certificate of version 2 names the entry")
    assert registration.startswith("version 2 has a certificate, but no entry says that it was registered")


def test_removed_registration_of_the_newest_version_is_found(database, export):
    tamper(database, "DELETE FROM ledger WHERE version = 2")
    (fault,) = verify_audit_file(export()).faults
    assert fault.startswith("version 2 has a certificate, but no entry")


@pytest.mark.parametrize("content", ["x", "{}", "[]", '{"id": "1"}'])
def test_unreadable_entry_of_a_file_is_refused(export, tmp_path, content):
    exported = json.loads(export().model_dump_json())
    exported["entries"][1]["content"] = content
    path = tmp_path / "export.json"
    path.write_text(json.dumps(exported))
    with pytest.raises(DataError, match="entry 1 holds no entry of a ledger"):
        read_audit_file(path)


def test_certificates_of_another_key_are_not_trusted(export, tmp_path):
    generate_keys(tmp_path / "other")
    faults = verify_audit_file(export(), tmp_path / "other" / "trusted").faults
    assert len(faults) == 2
    assert "is unknown" in faults[0]


def test_certificates_that_cannot_be_read_are_noted(export, monkeypatch):
    calls = []

    def fail(uri, use_case, version):
        calls.append(version)
        raise ServiceUnavailable("MLflow does not answer")

    monkeypatch.setattr(audit_file, "download_certificate", fail)
    result = verify_audit_file(export())
    assert result.faults == ()
    assert result.notes[1] == "no certificate of version 2: MLflow does not answer"
    assert calls == [1]


def test_champion_without_its_promotion_is_found(database, export):
    with database.begin() as connection:
        connection.execute(text("INSERT INTO desired_state (use_case, champion) VALUES ('model', 2)"))
        assert stack_faults(connection, "model") == []
    tamper(database, "DELETE FROM ledger WHERE version = 2 AND event = 'promoted'")
    with database.connect() as connection:
        (fault,) = stack_faults(connection, "model")
    assert fault.startswith("version 2 serves, but by the ledger the champion is 1")


def test_entries_of_an_earlier_export_must_be_there(database, export):
    earlier = export()
    with database.connect() as connection:
        assert stack_faults(connection, "model", earlier) == []
    tamper(database, "DELETE FROM ledger WHERE id = (SELECT max(id) FROM ledger)")
    with database.connect() as connection:
        assert len(stack_faults(connection, "model", earlier)) == 1


def test_file_that_is_no_export_is_named(tmp_path):
    path = tmp_path / "other.json"
    path.write_text('{"entries": []}')
    with pytest.raises(DataError, match=r"other\.json is no export of a ledger"):
        read_audit_file(path)
