from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.certificates.certificate import (
    EVIDENCE,
    FILE_NAME,
    Claims,
    GateEvidence,
    generate_keys,
    issue_certificate,
    model_digest,
    require_digest,
    verify_certificate,
)
from include.errors import CertificateInvalid, ServiceUnavailable

PASSED = GateEvidence(
    gate="threshold_roc_auc", outcome="pass", severity="block", reason="0.7", figures={"value": 0.7}
)
CLAIMS = Claims(
    use_case="flight_delay",
    snapshot={"digest": "d" * 64, "rows": 3, "as_of": "2013-07-01"},
    code_version="abc",
    lock_hash="def",
    run_id="run",
    metrics={"roc_auc": 0.1 + 0.2},
    gates=(PASSED,),
    environment={"python": "3.11"},
)


@pytest.fixture
def certified(tmp_path: Path, keys: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "model.pkl").write_bytes(b"pickle")
    (folder / "sub" / "MLmodel").write_text("flavors: {}")
    (folder / FILE_NAME).write_bytes(issue_certificate(folder, CLAIMS, key_path=keys / "signing.pem"))
    return folder


def canonical(content: object) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def change(folder: Path, **changes: object) -> None:
    content = json.loads((folder / FILE_NAME).read_text())
    content["certificate"] |= changes
    (folder / FILE_NAME).write_text(canonical(content))


def test_a_verified_certificate_contains_the_claims(certified, keys):
    certificate = verify_certificate(certified, keys / "trusted", use_case="flight_delay")
    assert {name: getattr(certificate, name) for name in Claims.model_fields} == dict(CLAIMS)


def test_a_certificate_contains_the_digest_of_the_files(certified, keys):
    assert verify_certificate(certified, keys / "trusted").model_digest == model_digest(certified)


def test_a_certificate_in_another_json_form_is_refused(certified, keys):
    content = json.loads((certified / FILE_NAME).read_text())
    (certified / FILE_NAME).write_text(json.dumps(content, indent=1))
    with pytest.raises(CertificateInvalid, match="canonical"):
        verify_certificate(certified, keys / "trusted")


@given(data=st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_changed_byte_of_any_file_is_detected(certified, keys, data):
    names = sorted(path.relative_to(certified) for path in certified.rglob("*") if path.is_file())
    path = certified / data.draw(st.sampled_from(names))
    content = path.read_bytes()
    position = data.draw(st.integers(0, len(content) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[position]))
    path.write_bytes(content[:position] + bytes([other]) + content[position + 1 :])
    with pytest.raises(CertificateInvalid):
        verify_certificate(certified, keys / "trusted")
    path.write_bytes(content)
    verify_certificate(certified, keys / "trusted")


def leaf_paths(content: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Return the path to every scalar of a JSON document."""
    if isinstance(content, dict):
        items = list(content.items())
    elif isinstance(content, list):
        items = list(enumerate(content))
    else:
        return [path]
    paths = []
    for key, value in items:
        paths.extend(leaf_paths(value, (*path, key)))
    return paths


def test_a_changed_value_anywhere_in_a_certificate_is_detected(certified, keys):
    content = json.loads((certified / FILE_NAME).read_text())
    paths = leaf_paths(content["certificate"])
    assert ("gates", 0, "figures", "value") in paths
    for *parents, last in paths:
        changed = json.loads(json.dumps(content))
        node = changed["certificate"]
        for key in parents:
            node = node[key]
        value = node[last]
        node[last] = value + 1 if isinstance(value, int | float) else f"{value}x"
        (certified / FILE_NAME).write_text(canonical(changed))
        with pytest.raises(CertificateInvalid):
            verify_certificate(certified, keys / "trusted")


def test_evidence_is_signed_but_not_part_of_the_digest(certified, keys):
    before = model_digest(certified)
    (certified / EVIDENCE).mkdir()
    (certified / EVIDENCE / "evidence.json").write_text('{"roc_auc": 0.7}')
    (certified / FILE_NAME).write_bytes(issue_certificate(certified, CLAIMS, key_path=keys / "signing.pem"))
    assert verify_certificate(certified, keys / "trusted").model_digest == before == model_digest(certified)
    (certified / EVIDENCE / "evidence.json").write_text('{"roc_auc": 0.8}')
    with pytest.raises(CertificateInvalid, match=r"evidence/evidence\.json changed"):
        verify_certificate(certified, keys / "trusted")


def test_a_certified_model_with_another_digest_is_refused(certified):
    require_digest(certified, model_digest(certified), "flight_delay version 3")
    with pytest.raises(CertificateInvalid, match="flight_delay version 3 is the model 0000"):
        require_digest(certified, "0" * 64, "flight_delay version 3")


@pytest.mark.parametrize(("minutes", "accepted"), [(4, True), (6, False), (600, False)])
def test_a_certificate_from_the_future_is_valid_within_the_skew(
    certified, keys, monkeypatch, minutes, accepted
):
    class FutureClock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(minutes=minutes)

    with monkeypatch.context() as patch:
        patch.setattr("include.certificates.certificate.datetime", FutureClock)
        (certified / FILE_NAME).write_bytes(
            issue_certificate(certified, CLAIMS, key_path=keys / "signing.pem")
        )
    if accepted:
        assert verify_certificate(certified, keys / "trusted")
    else:
        with pytest.raises(ServiceUnavailable, match="Set the clock"):
            verify_certificate(certified, keys / "trusted")


def test_a_file_that_mlflow_adds_to_a_download_is_ignored(certified, keys):
    (certified / "registered_model_meta").write_text("model_name: flight_delay")
    assert verify_certificate(certified, keys / "trusted").run_id == "run"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "model.pkl").write_bytes(b"other"), "model.pkl changed"),
        (lambda folder: (folder / "sub" / "MLmodel").unlink(), "sub/MLmodel is missing"),
        (lambda folder: (folder / "extra.py").write_text(""), "extra.py was added"),
        (lambda folder: (folder / "sub" / FILE_NAME).write_text(""), "sub/certificate.json was added"),
        (lambda folder: (folder / "link").symlink_to(folder / "model.pkl"), "is a link"),
        (lambda folder: (folder / FILE_NAME).unlink(), "is missing"),
        (lambda folder: (folder / FILE_NAME).write_text("{"), "not a certificate"),
        (lambda folder: (folder / FILE_NAME).write_text("[]"), "not a certificate"),
        (lambda folder: change(folder, use_case="air_time"), "altered"),
        (lambda folder: change(folder, metrics={"roc_auc": 0.99}), "altered"),
        (lambda folder: change(folder, note="hello"), "not a certificate"),
        (lambda folder: change(folder, key_id="0" * 16), "unknown"),
        (lambda folder: change(folder, key_id="../../etc/passwd"), "not a certificate"),
    ],
)
def test_a_damaged_folder_is_refused_with_the_reason(certified, keys, damage, message):
    damage(certified)
    with pytest.raises(CertificateInvalid, match=message):
        verify_certificate(certified, keys / "trusted")


def test_a_certificate_of_another_use_case_is_refused(certified, keys):
    with pytest.raises(CertificateInvalid, match="not of air_time"):
        verify_certificate(certified, keys / "trusted", use_case="air_time")


def test_a_certificate_of_an_untrusted_key_is_refused(certified, keys, tmp_path):
    generate_keys(tmp_path / "untrusted")
    (certified / FILE_NAME).write_bytes(
        issue_certificate(certified, CLAIMS, key_path=tmp_path / "untrusted" / "signing.pem")
    )
    with pytest.raises(CertificateInvalid, match="unknown"):
        verify_certificate(certified, keys / "trusted")


def test_a_failed_blocking_gate_prevents_a_certificate(certified, keys):
    failed = PASSED.model_copy(update={"outcome": "fail"})
    with pytest.raises(CertificateInvalid, match="threshold_roc_auc failed"):
        issue_certificate(
            certified, CLAIMS.model_copy(update={"gates": (failed,)}), key_path=keys / "signing.pem"
        )


def test_a_model_without_gates_gets_no_certificate(certified, keys):
    with pytest.raises(CertificateInvalid, match="no gate"):
        issue_certificate(certified, CLAIMS.model_copy(update={"gates": ()}), key_path=keys / "signing.pem")


@pytest.mark.parametrize("outcome", ["fail", "inconclusive"])
def test_a_gate_that_only_warns_does_not_prevent_a_certificate(certified, keys, outcome):
    gates = (PASSED, PASSED.model_copy(update={"severity": "warn", "outcome": outcome}))
    certificate = issue_certificate(
        certified, CLAIMS.model_copy(update={"gates": gates}), key_path=keys / "signing.pem"
    )
    (certified / FILE_NAME).write_bytes(certificate)
    assert verify_certificate(certified, keys / "trusted").gates == gates


def test_an_inconclusive_gate_needs_own_approval(certified, keys):
    inconclusive = PASSED.model_copy(update={"outcome": "inconclusive"})
    other = {"gate": "improvement_log_loss", "actor": "ada"}
    own = {"gate": inconclusive.gate, "actor": "ada"}
    claims = CLAIMS.model_copy(update={"gates": (inconclusive,), "approvals": (other,)})
    with pytest.raises(
        CertificateInvalid, match=f"{inconclusive.gate} was inconclusive and was not approved"
    ):
        issue_certificate(certified, claims, key_path=keys / "signing.pem")
    approved = claims.model_copy(update={"approvals": (other, own)})
    (certified / FILE_NAME).write_bytes(issue_certificate(certified, approved, key_path=keys / "signing.pem"))
    assert verify_certificate(certified, keys / "trusted").approvals == (other, own)


def test_verification_imports_no_heavy_library():
    heavy = "{'pandas', 'numpy', 'mlflow', 'sklearn', 'scipy'}"
    program = f"import sys, include.certificates.certificate; print({heavy} & set(sys.modules) or 'none')"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert run.stdout.strip() == "none"
