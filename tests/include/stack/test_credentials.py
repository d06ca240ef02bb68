from __future__ import annotations

import stat
from dataclasses import asdict

from cryptography.fernet import Fernet

from include.stack import credentials


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_their_owner_reads_the_secrets(tmp_path):
    credentials.load(tmp_path)
    credentials.admin_login(tmp_path)
    assert mode(tmp_path / "secrets.env") == mode(credentials.password_file(tmp_path)) == 0o600


def test_a_file_that_others_could_read_is_closed(tmp_path):
    credentials.load(tmp_path)
    (tmp_path / "secrets.env").chmod(0o644)
    credentials.load(tmp_path)
    assert mode(tmp_path / "secrets.env") == 0o600


def test_they_are_generated_once(tmp_path):
    assert credentials.load(tmp_path) == credentials.load(tmp_path)
    assert credentials.admin_login(tmp_path) == credentials.admin_login(tmp_path)


def test_two_stacks_share_none(tmp_path):
    one, other = (asdict(credentials.load(tmp_path / name)) for name in ("one", "other"))
    assert not set(one.values()) & set(other.values())


def test_a_secret_that_a_newer_version_needs_is_added_and_the_others_stay(tmp_path):
    before = credentials.load(tmp_path)
    file = tmp_path / "secrets.env"
    file.write_text("".join(line for line in file.open() if not line.startswith("JWT_SECRET")))
    after = credentials.load(tmp_path)
    assert after.jwt_secret != before.jwt_secret
    assert after.postgres_password == before.postgres_password


def test_a_password_that_the_user_changed_stays(tmp_path):
    credentials.admin_login(tmp_path)
    credentials.password_file(tmp_path).write_text('{"admin": "mine"}')
    assert credentials.admin_login(tmp_path) == ("admin", "mine")


def test_the_fernet_key_is_one(tmp_path):
    cipher = Fernet(credentials.load(tmp_path).fernet_key)
    assert cipher.decrypt(cipher.encrypt(b"secret")) == b"secret"


def test_no_secret_is_printed(tmp_path):
    found = credentials.load(tmp_path)
    assert not [secret for secret in asdict(found).values() if secret in repr(found)]
