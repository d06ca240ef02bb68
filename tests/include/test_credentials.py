from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from cryptography.fernet import Fernet

from include import credentials


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_their_owner_reads_the_secrets(tmp_path):
    credentials.load_credentials(tmp_path)
    credentials.admin_login(tmp_path)
    assert mode(tmp_path / "secrets.env") == mode(credentials.password_file(tmp_path)) == 0o600


def test_a_file_that_others_could_read_is_closed(tmp_path):
    credentials.load_credentials(tmp_path)
    (tmp_path / "secrets.env").chmod(0o644)
    credentials.load_credentials(tmp_path)
    assert mode(tmp_path / "secrets.env") == 0o600


def test_they_are_generated_once(tmp_path):
    assert credentials.load_credentials(tmp_path) == credentials.load_credentials(tmp_path)
    assert credentials.admin_login(tmp_path) == credentials.admin_login(tmp_path)


def test_programs_that_begin_at_once_read_what_is_there_and_write_nothing(tmp_path):
    first = credentials.load_credentials(tmp_path)
    before = (tmp_path / "secrets.env").stat()
    with ThreadPoolExecutor(8) as programs:
        found = list(programs.map(credentials.load_credentials, [tmp_path] * 80))
    assert set(found) == {first}
    assert (tmp_path / "secrets.env").stat().st_ino == before.st_ino


def test_files_written_at_once_are_whole_and_nothing_is_left_beside_them(tmp_path):
    texts = [str(number) * 10_000 for number in range(80)]
    with ThreadPoolExecutor(8) as programs:
        list(programs.map(lambda text: credentials.write_private(tmp_path / "private", text), texts))
    assert (tmp_path / "private").read_text() in texts
    assert [path.name for path in tmp_path.iterdir()] == ["private"]


def test_two_stacks_share_none(tmp_path):
    one, other = (asdict(credentials.load_credentials(tmp_path / name)) for name in ("one", "other"))
    assert not set(one.values()) & set(other.values())


def test_a_secret_that_a_newer_version_needs_is_added_and_the_others_stay(tmp_path):
    before = credentials.load_credentials(tmp_path)
    file = tmp_path / "secrets.env"
    file.write_text("".join(line for line in file.open() if not line.startswith("JWT_SECRET")))
    after = credentials.load_credentials(tmp_path)
    assert after.jwt_secret != before.jwt_secret
    assert after.postgres_password == before.postgres_password


def test_a_password_that_the_user_changed_stays(tmp_path):
    credentials.admin_login(tmp_path)
    credentials.password_file(tmp_path).write_text('{"admin": "mine"}')
    assert credentials.admin_login(tmp_path) == ("admin", "mine")


def test_the_fernet_key_is_one(tmp_path):
    cipher = Fernet(credentials.load_credentials(tmp_path).fernet_key)
    assert cipher.decrypt(cipher.encrypt(b"secret")) == b"secret"


def test_no_secret_is_printed(tmp_path):
    found = credentials.load_credentials(tmp_path)
    assert not [secret for secret in asdict(found).values() if secret in repr(found)]
