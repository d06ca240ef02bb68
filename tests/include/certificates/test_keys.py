from __future__ import annotations

import stat

import pytest

from include.certificates.certificate import (
    FILE_NAME,
    Claims,
    GateEvidence,
    issue_certificate,
    verify_certificate,
)
from include.certificates.keys import generate_keys, private_key, revoke, rotate, trusted_key, trusted_names
from include.cli.keys import main
from include.errors import CertificateInvalid, SettingsError
from include.settings import settings


def test_only_its_owner_may_read_the_signing_key(tmp_path):
    generate_keys(tmp_path)
    assert stat.S_IMODE((tmp_path / "signing.pem").stat().st_mode) == 0o600


def test_making_keys_again_keeps_the_signing_key(tmp_path):
    first = generate_keys(tmp_path)
    assert generate_keys(tmp_path) == first


def test_the_public_key_lies_under_its_id(tmp_path):
    name = generate_keys(tmp_path)
    assert trusted_key(tmp_path / "trusted", name) == private_key(tmp_path / "signing.pem").public_key()


def test_a_key_under_another_ones_name_is_refused(tmp_path):
    name = generate_keys(tmp_path)
    other = generate_keys(tmp_path / "other")
    (tmp_path / "trusted" / f"{name}.pem").replace(tmp_path / "trusted" / f"{other}.pem")
    with pytest.raises(CertificateInvalid, match="named after"):
        trusted_key(tmp_path / "trusted", other)


@pytest.mark.parametrize("content", [b"", b"not a key"])
def test_a_broken_signing_key_is_named(tmp_path, content):
    (tmp_path / "signing.pem").write_bytes(content)
    with pytest.raises(SettingsError, match="signing key cannot be read"):
        generate_keys(tmp_path)


def sign(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir(exist_ok=True)
    (folder / "model.pkl").write_bytes(b"pickle")
    passed = GateEvidence(gate="threshold", outcome="pass", severity="block", reason="", figures={})
    claims = Claims(
        use_case="delay", snapshot={}, code_version="c", lock_hash="l", run_id="r", metrics={},
        gates=(passed,), environment={},
    )  # fmt: skip
    (folder / FILE_NAME).write_bytes(issue_certificate(folder, claims, key_path=tmp_path / "signing.pem"))
    return folder


def test_what_an_old_key_signed_stays_valid_and_new_certificates_are_by_the_new_one(tmp_path):
    old = generate_keys(tmp_path)
    folder = sign(tmp_path)
    new = rotate(tmp_path)
    assert verify_certificate(folder, tmp_path / "trusted").key_id == old != new
    assert verify_certificate(sign(tmp_path), tmp_path / "trusted").key_id == new
    assert trusted_names(tmp_path / "trusted") == sorted([old, new])


def test_only_its_owner_may_read_a_rotated_key(tmp_path):
    generate_keys(tmp_path)
    rotate(tmp_path)
    assert stat.S_IMODE((tmp_path / "signing.pem").stat().st_mode) == 0o600


def test_nothing_that_a_revoked_key_signed_is_believed(tmp_path):
    old = generate_keys(tmp_path)
    folder = sign(tmp_path)
    rotate(tmp_path)
    revoke(tmp_path, old)
    with pytest.raises(CertificateInvalid, match=f"{old} was revoked"):
        verify_certificate(folder, tmp_path / "trusted")


def test_a_revoked_key_put_back_stays_revoked(tmp_path):
    old = generate_keys(tmp_path)
    content = (tmp_path / "trusted" / f"{old}.pem").read_bytes()
    rotate(tmp_path)
    revoke(tmp_path, old)
    (tmp_path / "trusted" / f"{old}.pem").write_bytes(content)
    with pytest.raises(CertificateInvalid, match="revoked"):
        trusted_key(tmp_path / "trusted", old)


def test_the_key_that_signs_is_not_revoked(tmp_path):
    name = generate_keys(tmp_path)
    with pytest.raises(SettingsError, match="Rotate first"):
        revoke(tmp_path, name)
    assert trusted_key(tmp_path / "trusted", name)


@pytest.mark.parametrize("name", ["0" * 16, "../signing", "*"])
def test_a_key_that_nobody_trusts_cannot_be_revoked(tmp_path, name):
    generate_keys(tmp_path)
    with pytest.raises(SettingsError, match="not trusted here"):
        revoke(tmp_path, name)
    assert private_key(tmp_path / "signing.pem")


def test_the_command_rotates_revokes_and_shows_which_key_signs(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AIRWORTHY_HOME", str(tmp_path))
    settings.cache_clear()
    old = generate_keys(tmp_path / "keys")
    assert main(["rotate"]) == 0
    new = next(line.split()[0] for line in capsys.readouterr().out.splitlines() if line.endswith("*"))
    assert main(["revoke", old]) == 0
    assert capsys.readouterr().out == f"{new} *\n"
    assert main(["revoke", new]) == 1
    assert "Rotate first" in capsys.readouterr().err
    settings.cache_clear()
