from __future__ import annotations

import re
import stat

import pytest
from cryptography.fernet import Fernet

from include.errors import SettingsError
from include.stack.compose.env import variables, write_env_file
from include.stack.embedded import environment


def test_file_is_readable_by_its_owner_only(tmp_path):
    write_env_file(tmp_path / ".env")
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_existing_file_is_not_changed(tmp_path):
    file = tmp_path / ".env"
    file.write_text("POSTGRES_PASSWORD=kept\n")
    with pytest.raises(SettingsError, match=rf"{file} exists.*docker compose down --volumes"):
        write_env_file(file)
    assert file.read_text() == "POSTGRES_PASSWORD=kept\n"


def test_variables_without_a_default_are_written():
    compose = (environment.REPOSITORY / "docker-compose.yaml").read_text()
    assert set(re.findall(r"\$\{(\w+):\?", compose)) == set(variables())


def test_secrets_have_no_default():
    compose = (environment.REPOSITORY / "docker-compose.yaml").read_text()
    with_defaults = set(re.findall(r"\$\{(\w+):-", compose))
    assert with_defaults.isdisjoint(variables())
    assert not any(re.search("PASSWORD|SECRET|KEY", name) for name in with_defaults)


def test_secrets_are_new_each_time_and_fit_into_a_url():
    first = variables()
    second = variables()
    assert all(first[name] != second[name] for name in first)
    fernet_key = first.pop("FERNET_KEY")
    assert all(re.fullmatch(r"[\w-]{20,}", value) for value in first.values())
    Fernet(fernet_key)
