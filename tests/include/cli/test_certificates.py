from __future__ import annotations

import pytest

from include.certificates.certificate import FILE_NAME, Claims, GateEvidence, issue_certificate, model_digest
from include.certificates.keys import generate_keys

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
    return ["--trusted", keys / "trusted"]


@pytest.fixture
def registered(registry, packaged, keys, set_settings):
    """Return a certified version of `flight_delay`, the champion, and how to exchange its files."""
    tags = {"airworthy.dag": "d", "airworthy.run": packaged.parent.name, "airworthy.partition": ""}
    run = registry.run_for("flight_delay", tags)
    logged = registry.log_model(run, packaged, digest=model_digest(packaged), tags={})
    registry.add_certificate(logged.model_id, certify(packaged, keys))
    version = registry.register("flight_delay", run, logged, {})
    registry.set_aliases("flight_delay", champion=version)
    set_settings(mlflow_uri=registry.uri)
    return version, lambda: registry.add_certificate(logged.model_id, packaged)


def test_folder_is_verified(packaged, keys, trusted, airworthy):
    result = airworthy("certificate", "verify", certify(packaged, keys), *trusted)
    assert result.code == 0
    assert "pass          threshold_roc_auc (block): 0.7" in result.out
    assert "1 of evidence" in result.out
    assert "narrow" in result.out


def test_valid_certificate_as_json_has_its_claims(packaged, keys, trusted, airworthy):
    result = airworthy("certificate", "verify", certify(packaged, keys), *trusted, "--json")
    assert result.code == 0
    assert (result.value["status"], result.value["reason"]) == ("valid", "")
    assert result.value["certificate"]["use_case"] == "flight_delay"


def test_changed_file_is_named_and_the_code_is_1(packaged, keys, trusted, airworthy):
    certify(packaged, keys)
    (packaged / "golden.json").write_text("{}")
    result = airworthy("certificate", "verify", packaged, *trusted)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("invalid: ")
    assert "golden.json changed" in result.err
    value = airworthy("certificate", "verify", packaged, *trusted, "--json").value
    assert (value["status"], value["certificate"]) == ("invalid", None)
    assert "golden.json changed" in value["reason"]


@pytest.mark.parametrize("address", ["models:/flight_delay/{}", "models:/flight_delay@champion"])
def test_registered_version_is_downloaded_and_verified(registered, trusted, airworthy, address):
    result = airworthy("certificate", "verify", address.format(registered[0]), *trusted)
    assert result.code == 0
    assert result.out.startswith("valid:    flight_delay, model ")


def test_changed_evidence_of_a_registered_version_is_named(registered, packaged, trusted, airworthy):
    version, upload = registered
    (packaged / "evidence" / "evidence.json").write_text('{"roc_auc": 0.9}')
    upload()
    result = airworthy("certificate", "verify", f"models:/flight_delay/{version}", *trusted)
    assert result.code == 1
    assert "evidence/evidence.json changed" in result.err


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("models:/flight_delay/987654", "987654"),
        ("models:/flight_delay@unknown", "unknown"),
        ("models:/flight_delay", "write models:/flight_delay/3"),
    ],
)
def test_missing_version_could_not_be_verified(registered, trusted, airworthy, address, message):
    result = airworthy("certificate", "verify", address, *trusted)
    assert result.code == 2
    assert message in result.err


def test_unreachable_mlflow_is_no_verdict(free_port, trusted, set_settings, airworthy):
    set_settings(mlflow_uri=f"http://127.0.0.1:{free_port}")
    result = airworthy("certificate", "verify", "models:/flight_delay/1", *trusted)
    assert result.code == 2
    assert "not verified" in result.err


def test_keys_are_rotated_revoked_and_listed(tmp_path, set_settings, airworthy):
    set_settings(home=tmp_path)
    former = generate_keys(tmp_path / "keys")
    assert airworthy("keys", "rotate").code == 0
    signing = [key["id"] for key in airworthy("keys", "list", "--json").value if key["signs"]]
    assert len(signing) == 1
    assert airworthy("keys", "revoke", former).out == f"{signing[0]} *\n"
    result = airworthy("keys", "revoke", signing[0])
    assert result.code == 1
    assert "Rotate first" in result.err
