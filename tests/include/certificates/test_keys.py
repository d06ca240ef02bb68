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
from include.certificates.keys import (
    generate_keys,
    read_signing_key,
    read_trusted_key,
    revoke_key,
    rotate_key,
    trusted_key_ids,
)
from include.errors import CertificateInvalid, SettingsError


def test_a_new_signing_key_is_readable_by_its_owner_only(tmp_path):
    generate_keys(tmp_path)
    assert stat.S_IMODE((tmp_path / "signing.pem").stat().st_mode) == 0o600


def test_generating_keys_again_keeps_the_signing_key(tmp_path):
    first = generate_keys(tmp_path)
    assert generate_keys(tmp_path) == first


def test_the_public_key_is_stored_under_its_id(tmp_path):
    name = generate_keys(tmp_path)
    assert (
        read_trusted_key(tmp_path / "trusted", name)
        == read_signing_key(tmp_path / "signing.pem").public_key()
    )


def test_a_key_in_the_file_of_another_key_is_refused(tmp_path):
    name = generate_keys(tmp_path)
    other = generate_keys(tmp_path / "other")
    (tmp_path / "trusted" / f"{name}.pem").replace(tmp_path / "trusted" / f"{other}.pem")
    with pytest.raises(CertificateInvalid, match="named after"):
        read_trusted_key(tmp_path / "trusted", other)


@pytest.mark.parametrize("content", [b"", b"not a key"])
def test_a_broken_signing_key_is_named_in_the_error(tmp_path, content):
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


def test_certificates_of_a_rotated_key_stay_valid(tmp_path):
    old = generate_keys(tmp_path)
    folder = sign(tmp_path)
    new = rotate_key(tmp_path)
    assert verify_certificate(folder, tmp_path / "trusted").key_id == old != new
    assert verify_certificate(sign(tmp_path), tmp_path / "trusted").key_id == new
    assert trusted_key_ids(tmp_path / "trusted") == sorted([old, new])


def test_a_rotated_key_is_readable_by_its_owner_only(tmp_path):
    generate_keys(tmp_path)
    rotate_key(tmp_path)
    assert stat.S_IMODE((tmp_path / "signing.pem").stat().st_mode) == 0o600


def test_certificates_of_a_revoked_key_are_refused(tmp_path):
    old = generate_keys(tmp_path)
    folder = sign(tmp_path)
    rotate_key(tmp_path)
    revoke_key(tmp_path, old)
    with pytest.raises(CertificateInvalid, match=f"{old} was revoked"):
        verify_certificate(folder, tmp_path / "trusted")


def test_a_revoked_key_that_is_restored_stays_revoked(tmp_path):
    old = generate_keys(tmp_path)
    content = (tmp_path / "trusted" / f"{old}.pem").read_bytes()
    rotate_key(tmp_path)
    revoke_key(tmp_path, old)
    (tmp_path / "trusted" / f"{old}.pem").write_bytes(content)
    with pytest.raises(CertificateInvalid, match="revoked"):
        read_trusted_key(tmp_path / "trusted", old)


def test_the_current_signing_key_cannot_be_revoked(tmp_path):
    name = generate_keys(tmp_path)
    with pytest.raises(SettingsError, match="Rotate first"):
        revoke_key(tmp_path, name)
    assert read_trusted_key(tmp_path / "trusted", name)


@pytest.mark.parametrize("name", ["0" * 16, "../signing", "*"])
def test_an_untrusted_key_cannot_be_revoked(tmp_path, name):
    generate_keys(tmp_path)
    with pytest.raises(SettingsError, match="not trusted here"):
        revoke_key(tmp_path, name)
    assert read_signing_key(tmp_path / "signing.pem")
