from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from include.errors import CertificateInvalid
from include.modeling.certificate import (
    FILE_NAME,
    Claims,
    GateEvidence,
    digest,
    generate_keys,
    issue,
    main,
    verify,
)

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
    (folder / FILE_NAME).write_bytes(issue(folder, CLAIMS, key_path=keys / "signing.pem"))
    return folder


def change(folder: Path, **changes: object) -> None:
    content = json.loads((folder / FILE_NAME).read_text())
    content["certificate"] |= changes
    (folder / FILE_NAME).write_text(json.dumps(content))


def test_a_certificate_says_what_was_claimed(certified, keys):
    found = verify(certified, keys / "trusted", use_case="flight_delay")
    assert {name: getattr(found, name) for name in Claims.model_fields} == dict(CLAIMS)


def test_a_certificate_names_the_digest_of_the_files(certified, keys):
    assert verify(certified, keys / "trusted").model_digest == digest(certified)


def test_formatting_the_certificate_does_not_break_it(certified, keys):
    change(certified)
    assert verify(certified, keys / "trusted").use_case == "flight_delay"


def test_what_mlflow_adds_to_a_download_does_not_matter(certified, keys):
    (certified / "registered_model_meta").write_text("model_name: flight_delay")
    assert verify(certified, keys / "trusted").run_id == "run"


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
        verify(certified, keys / "trusted")


def test_a_certificate_of_another_use_case_is_refused(certified, keys):
    with pytest.raises(CertificateInvalid, match="not of air_time"):
        verify(certified, keys / "trusted", use_case="air_time")


def test_a_stranger_signs_in_vain(certified, keys, tmp_path):
    generate_keys(tmp_path / "stranger")
    (certified / FILE_NAME).write_bytes(
        issue(certified, CLAIMS, key_path=tmp_path / "stranger" / "signing.pem")
    )
    with pytest.raises(CertificateInvalid, match="unknown"):
        verify(certified, keys / "trusted")


def test_what_a_blocking_gate_refused_gets_no_certificate(certified, keys):
    refused = PASSED.model_copy(update={"outcome": "fail"})
    with pytest.raises(CertificateInvalid, match="threshold_roc_auc refused"):
        issue(certified, CLAIMS.model_copy(update={"gates": (refused,)}), key_path=keys / "signing.pem")


def test_what_no_gate_has_seen_gets_no_certificate(certified, keys):
    with pytest.raises(CertificateInvalid, match="no gate"):
        issue(certified, CLAIMS.model_copy(update={"gates": ()}), key_path=keys / "signing.pem")


@pytest.mark.parametrize("harmless", [{"severity": "warn", "outcome": "fail"}, {"outcome": "inconclusive"}])
def test_a_warning_or_an_open_question_is_certified(certified, keys, harmless):
    gates = (PASSED, PASSED.model_copy(update=harmless))
    certificate = issue(certified, CLAIMS.model_copy(update={"gates": gates}), key_path=keys / "signing.pem")
    (certified / FILE_NAME).write_bytes(certificate)
    assert verify(certified, keys / "trusted").gates == gates


def test_the_command_prints_what_it_found(certified, keys, capsys):
    assert main(["verify", str(certified), "--trusted", str(keys / "trusted")]) == 0
    assert "threshold_roc_auc" in capsys.readouterr().out


def test_the_command_fails_on_an_invalid_certificate(certified, keys, capsys):
    (certified / "model.pkl").write_bytes(b"other")
    assert main(["verify", str(certified), "--trusted", str(keys / "trusted")]) == 1
    assert "model.pkl changed" in capsys.readouterr().err


def test_checking_a_certificate_loads_no_heavy_library():
    heavy = "{'pandas', 'numpy', 'mlflow', 'sklearn', 'scipy'}"
    program = f"import sys, include.modeling.certificate; print({heavy} & set(sys.modules) or 'none')"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert run.stdout.strip() == "none"
