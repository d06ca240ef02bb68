from __future__ import annotations

import pytest

from include.certificates.certificate import FILE_NAME, Claims, GateEvidence, issue_certificate, model_digest
from include.cli.verify import main
from include.settings import settings

PASSED = GateEvidence(
    gate="threshold_roc_auc", outcome="pass", severity="block", reason="0.7", figures={"value": 0.7}
)


def certify(folder, keys):
    (folder / "evidence").mkdir(exist_ok=True)
    (folder / "evidence" / "evidence.json").write_text('{"roc_auc": 0.7}')
    claims = Claims(
        use_case="flight_delay", snapshot={}, code_version="c", lock_hash="l", run_id="run", metrics={},
        gates=(PASSED,), environment={}, approvals=({"by": "ann", "reason": "the interval is narrow"},),
    )  # fmt: skip
    (folder / FILE_NAME).write_bytes(issue_certificate(folder, claims, key_path=keys / "signing.pem"))
    return folder


@pytest.fixture
def trusted(keys):
    return ["--trusted", str(keys / "trusted")]


@pytest.fixture
def registered(registry, packaged, keys, monkeypatch):
    """Return a certified version of `flight_delay`, the champion, and how to exchange its files."""
    tags = {"airworthy.dag": "d", "airworthy.run": packaged.parent.name, "airworthy.partition": ""}
    run = registry.run_for("flight_delay", tags)
    logged = registry.log_model(run, packaged, digest=model_digest(packaged), tags={})
    registry.add_certificate(logged.model_id, certify(packaged, keys))
    version = registry.register("flight_delay", run, logged, {})
    registry.alias("flight_delay", champion=version)
    monkeypatch.setenv("AIRWORTHY_MLFLOW_URI", registry.uri)
    settings.cache_clear()
    yield version, lambda: registry.add_certificate(logged.model_id, packaged)
    settings.cache_clear()


def test_a_folder_is_verified(packaged, keys, trusted, capsys):
    assert main(["verify", str(certify(packaged, keys)), *trusted]) == 0
    said = capsys.readouterr().out
    assert "pass          threshold_roc_auc (block): 0.7" in said
    assert "1 of evidence" in said
    assert "narrow" in said


def test_what_changed_is_named_and_the_command_fails(packaged, keys, trusted, capsys):
    certify(packaged, keys)
    (packaged / "golden.json").write_text("{}")
    assert main(["verify", str(packaged), *trusted]) == 1
    assert "invalid: " in (said := capsys.readouterr().err)
    assert "golden.json changed" in said


@pytest.mark.parametrize("address", ["models:/flight_delay/{}", "models:/flight_delay@champion"])
def test_a_registered_version_is_fetched_and_verified(registered, trusted, capsys, address):
    assert main(["verify", address.format(registered[0]), *trusted]) == 0
    assert capsys.readouterr().out.startswith("valid:    flight_delay, model ")


def test_evidence_of_a_registered_version_that_somebody_changed_is_named(
    registered, packaged, trusted, capsys
):
    version, upload = registered
    (packaged / "evidence" / "evidence.json").write_text('{"roc_auc": 0.9}')
    upload()
    assert main(["verify", f"models:/flight_delay/{version}", *trusted]) == 1
    assert "evidence/evidence.json changed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("models:/flight_delay/987654", "987654"),
        ("models:/flight_delay@nobody", "nobody"),
        ("models:/flight_delay", "write models:/flight_delay/3"),
    ],
)
def test_what_is_not_there_could_not_be_verified(registered, trusted, capsys, address, says):
    assert main(["verify", address, *trusted]) == 2
    assert says in capsys.readouterr().err


def test_mlflow_that_is_away_is_no_verdict(free_port, trusted, monkeypatch, capsys):
    monkeypatch.setenv("AIRWORTHY_MLFLOW_URI", f"http://127.0.0.1:{free_port}")
    settings.cache_clear()
    assert main(["verify", "models:/flight_delay/1", *trusted]) == 2
    assert "not verified" in capsys.readouterr().err
    settings.cache_clear()
