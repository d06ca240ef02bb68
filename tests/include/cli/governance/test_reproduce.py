from __future__ import annotations

import pytest

from include.certificates.certificate import Claims, GateEvidence, issue_certificate
from include.database.ledger import ledger_entries
from include.modeling.pipeline.reproduce import Reproduction

GATE = GateEvidence(gate="parity", outcome="pass", severity="block", reason="equal", figures={})


@pytest.fixture
def stack(database_url, keys, tmp_path, set_settings):
    (tmp_path / "keys").symlink_to(keys)
    set_settings(home=tmp_path, database_url=database_url, mlflow_uri="http://127.0.0.1:9")


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize(("outcome", "code"), [("identical", 0), ("equal", 0), ("different", 1)])
def test_result_here_is_printed_and_in_the_ledger(airworthy, database, monkeypatch, outcome, code):
    result = Reproduction("flight_delay", 3, "run", outcome, "a", "b")
    monkeypatch.setattr("include.modeling.pipeline.reproduce.reproduce", lambda *_: result)
    printed = airworthy("reproduce", "flight_delay", "3", "--here")
    assert printed.code == code
    assert printed.out.startswith(f"{outcome}: flight_delay version 3: ")
    with database.connect() as connection:
        (entry,) = ledger_entries(connection, "flight_delay")
    assert (entry["event"], entry["version"], entry["evidence"]["outcome"]) == ("reproduced", 3, outcome)


@pytest.mark.usefixtures("stack")
def test_version_of_uncommitted_code_is_refused(airworthy, monkeypatch, keys, tmp_path):
    claims = Claims(
        use_case="flight_delay", snapshot={}, code_version="abc-dirty", lock_hash="l", run_id="r",
        metrics={}, gates=(GATE,), environment={},
    )  # fmt: skip
    (tmp_path / "model").mkdir()
    content = issue_certificate(tmp_path / "model", claims, key_path=keys / "signing.pem")
    monkeypatch.setattr("include.inference.download.download_certificate", lambda *_: content)
    result = airworthy("reproduce", "flight_delay", "3")
    assert result.code == 1
    assert "abc-dirty" in result.err
    assert "--here" in result.err
