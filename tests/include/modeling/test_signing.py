from __future__ import annotations

import stat

import pytest

from include.errors import CertificateInvalid, SettingsError
from include.modeling.signing import generate_keys, private_key, trusted_key


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
