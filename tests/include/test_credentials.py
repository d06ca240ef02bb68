from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from cryptography.fernet import Fernet

from include import credentials


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secret_files_are_readable_by_their_owner_only(tmp_path):
    credentials.load_credentials(tmp_path)
    credentials.admin_login(tmp_path)
    assert mode(tmp_path / "secrets.env") == mode(credentials.password_file(tmp_path)) == 0o600


def test_load_credentials_restricts_an_open_file(tmp_path):
    credentials.load_credentials(tmp_path)
    (tmp_path / "secrets.env").chmod(0o644)
    credentials.load_credentials(tmp_path)
    assert mode(tmp_path / "secrets.env") == 0o600


def test_credentials_are_generated_once(tmp_path):
    assert credentials.load_credentials(tmp_path) == credentials.load_credentials(tmp_path)
    assert credentials.admin_login(tmp_path) == credentials.admin_login(tmp_path)


def test_load_credentials_concurrently_writes_nothing(tmp_path):
    first = credentials.load_credentials(tmp_path)
    before = (tmp_path / "secrets.env").stat()
    with ThreadPoolExecutor(8) as programs:
        loaded = list(programs.map(credentials.load_credentials, [tmp_path] * 80))
    assert set(loaded) == {first}
    assert (tmp_path / "secrets.env").stat().st_ino == before.st_ino


def test_write_private_concurrently_leaves_one_complete_file(tmp_path):
    texts = [str(number) * 10_000 for number in range(80)]
    with ThreadPoolExecutor(8) as programs:
        list(programs.map(lambda text: credentials.write_private(tmp_path / "private", text), texts))
    assert (tmp_path / "private").read_text() in texts
    assert [path.name for path in tmp_path.iterdir()] == ["private"]


def test_two_stacks_have_different_secrets(tmp_path):
    first = asdict(credentials.load_credentials(tmp_path / "first"))
    second = asdict(credentials.load_credentials(tmp_path / "second"))
    assert not set(first.values()) & set(second.values())


def test_load_credentials_adds_a_missing_secret_only(tmp_path):
    before = credentials.load_credentials(tmp_path)
    file = tmp_path / "secrets.env"
    file.write_text("".join(line for line in file.open() if not line.startswith("JWT_SECRET")))
    after = credentials.load_credentials(tmp_path)
    assert after.jwt_secret != before.jwt_secret
    assert after.postgres_password == before.postgres_password


def test_admin_login_keeps_a_changed_password(tmp_path):
    credentials.admin_login(tmp_path)
    credentials.password_file(tmp_path).write_text('{"admin": "mine"}')
    assert credentials.admin_login(tmp_path) == ("admin", "mine")


def test_fernet_key_is_valid(tmp_path):
    cipher = Fernet(credentials.load_credentials(tmp_path).fernet_key)
    assert cipher.decrypt(cipher.encrypt(b"secret")) == b"secret"


def test_credentials_repr_hides_secrets(tmp_path):
    loaded = credentials.load_credentials(tmp_path)
    assert not [secret for secret in asdict(loaded).values() if secret in repr(loaded)]
