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


def test_a_certificate_says_what_was_claimed(certified, keys):
    found = verify_certificate(certified, keys / "trusted", use_case="flight_delay")
    assert {name: getattr(found, name) for name in Claims.model_fields} == dict(CLAIMS)


def test_a_certificate_names_the_digest_of_the_files(certified, keys):
    assert verify_certificate(certified, keys / "trusted").model_digest == model_digest(certified)


def test_the_same_content_in_another_form_is_not_what_was_written(certified, keys):
    content = json.loads((certified / FILE_NAME).read_text())
    (certified / FILE_NAME).write_text(json.dumps(content, indent=1))
    with pytest.raises(CertificateInvalid, match="canonical"):
        verify_certificate(certified, keys / "trusted")


@given(data=st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_other_byte_is_found(certified, keys, data):
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


def leaves(content: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Return the way to every single value of a JSON document."""
    if isinstance(content, dict):
        return [leaf for key, value in content.items() for leaf in leaves(value, (*path, key))]
    if isinstance(content, list):
        return [leaf for key, value in enumerate(content) for leaf in leaves(value, (*path, key))]
    return [path]


def test_any_other_value_is_found_be_it_of_a_gate_or_of_the_snapshot(certified, keys):
    content = json.loads((certified / FILE_NAME).read_text())
    every = leaves(content["certificate"])
    assert ("gates", 0, "figures", "value") in every
    for *way, last in every:
        changed = json.loads(json.dumps(content))
        place = changed["certificate"]
        for step in way:
            place = place[step]
        value = place[last]
        place[last] = value + 1 if isinstance(value, int | float) else f"{value}x"
        (certified / FILE_NAME).write_text(canonical(changed))
        with pytest.raises(CertificateInvalid):
            verify_certificate(certified, keys / "trusted")


def test_evidence_is_signed_but_no_part_of_the_model(certified, keys):
    before = model_digest(certified)
    (certified / EVIDENCE).mkdir()
    (certified / EVIDENCE / "evidence.json").write_text('{"roc_auc": 0.7}')
    (certified / FILE_NAME).write_bytes(issue_certificate(certified, CLAIMS, key_path=keys / "signing.pem"))
    assert verify_certificate(certified, keys / "trusted").model_digest == before == model_digest(certified)
    (certified / EVIDENCE / "evidence.json").write_text('{"roc_auc": 0.8}')
    with pytest.raises(CertificateInvalid, match=r"evidence/evidence\.json changed"):
        verify_certificate(certified, keys / "trusted")


def test_another_model_is_refused_however_well_it_is_certified(certified):
    require_digest(certified, model_digest(certified), "flight_delay version 3")
    with pytest.raises(CertificateInvalid, match="flight_delay version 3 is the model 0000"):
        require_digest(certified, "0" * 64, "flight_delay version 3")


@pytest.mark.parametrize(("minutes", "accepted"), [(4, True), (6, False), (600, False)])
def test_a_clock_may_be_minutes_wrong_and_more_is_an_accident_that_says_so(
    certified, keys, monkeypatch, minutes, accepted
):
    class Ahead(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(minutes=minutes)

    with monkeypatch.context() as patch:
        patch.setattr("include.certificates.certificate.datetime", Ahead)
        (certified / FILE_NAME).write_bytes(
            issue_certificate(certified, CLAIMS, key_path=keys / "signing.pem")
        )
    if accepted:
        assert verify_certificate(certified, keys / "trusted")
    else:
        with pytest.raises(ServiceUnavailable, match="Set the clock"):
            verify_certificate(certified, keys / "trusted")


def test_what_mlflow_adds_to_a_download_does_not_matter(certified, keys):
    (certified / "registered_model_meta").write_text("model_name: flight_delay")
    assert verify_certificate(certified, keys / "trusted").run_id == "run"


@pytest.mark.parametrize(
    ("damage", "names"),
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
def test_any_damage_is_named(certified, keys, damage, names):
    damage(certified)
    with pytest.raises(CertificateInvalid, match=names):
        verify_certificate(certified, keys / "trusted")


def test_a_certificate_of_another_use_case_is_refused(certified, keys):
    with pytest.raises(CertificateInvalid, match="not of air_time"):
        verify_certificate(certified, keys / "trusted", use_case="air_time")


def test_a_stranger_signs_in_vain(certified, keys, tmp_path):
    generate_keys(tmp_path / "stranger")
    (certified / FILE_NAME).write_bytes(
        issue_certificate(certified, CLAIMS, key_path=tmp_path / "stranger" / "signing.pem")
    )
    with pytest.raises(CertificateInvalid, match="unknown"):
        verify_certificate(certified, keys / "trusted")


def test_what_a_blocking_gate_refused_gets_no_certificate(certified, keys):
    refused = PASSED.model_copy(update={"outcome": "fail"})
    with pytest.raises(CertificateInvalid, match="threshold_roc_auc refused"):
        issue_certificate(
            certified, CLAIMS.model_copy(update={"gates": (refused,)}), key_path=keys / "signing.pem"
        )


def test_what_no_gate_has_seen_gets_no_certificate(certified, keys):
    with pytest.raises(CertificateInvalid, match="no gate"):
        issue_certificate(certified, CLAIMS.model_copy(update={"gates": ()}), key_path=keys / "signing.pem")


@pytest.mark.parametrize("outcome", ["fail", "inconclusive"])
def test_a_warning_is_certified(certified, keys, outcome):
    gates = (PASSED, PASSED.model_copy(update={"severity": "warn", "outcome": outcome}))
    certificate = issue_certificate(
        certified, CLAIMS.model_copy(update={"gates": gates}), key_path=keys / "signing.pem"
    )
    (certified / FILE_NAME).write_bytes(certificate)
    assert verify_certificate(certified, keys / "trusted").gates == gates


def test_an_open_question_is_certified_with_an_approval_of_that_gate_only(certified, keys):
    undecided = PASSED.model_copy(update={"outcome": "inconclusive"})
    other, its_own = ({"gate": name, "actor": "ada"} for name in ("improvement_log_loss", undecided.gate))
    claims = CLAIMS.model_copy(update={"gates": (undecided,), "approvals": (other,)})
    with pytest.raises(CertificateInvalid, match=f"{undecided.gate} could not decide .* nobody approved it"):
        issue_certificate(certified, claims, key_path=keys / "signing.pem")
    approved = claims.model_copy(update={"approvals": (other, its_own)})
    (certified / FILE_NAME).write_bytes(issue_certificate(certified, approved, key_path=keys / "signing.pem"))
    assert verify_certificate(certified, keys / "trusted").approvals == (other, its_own)


def test_checking_a_certificate_loads_no_heavy_library():
    heavy = "{'pandas', 'numpy', 'mlflow', 'sklearn', 'scipy'}"
    program = f"import sys, include.certificates.certificate; print({heavy} & set(sys.modules) or 'none')"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert run.stdout.strip() == "none"
