from __future__ import annotations

from pathlib import Path

import pytest

from include.credentials import load_credentials
from include.errors import SettingsError
from include.settings import Settings, settings


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    monkeypatch.setenv("AIRWORTHY_HOME", str(tmp_path))
    settings.cache_clear()
    yield
    settings.cache_clear()


def test_what_is_not_given_follows_from_the_home_and_the_ports(monkeypatch, tmp_path):
    monkeypatch.setenv("AIRWORTHY_MLFLOW_PORT", "5999")
    assert settings().mlflow_uri == "http://127.0.0.1:5999"
    assert settings().lake_uri == str(tmp_path / "lake")
    assert settings().signing_key == tmp_path / "keys" / "signing.pem"


@pytest.mark.parametrize("name", ["lake_uri", "landing_uri", "artifacts_uri"])
def test_what_is_given_wins(monkeypatch, name):
    monkeypatch.setenv(f"AIRWORTHY_{name.upper()}", "s3://bucket/folder")
    assert getattr(settings(), name) == "s3://bucket/folder"


def test_an_empty_variable_counts_as_not_given(monkeypatch):
    monkeypatch.setenv("AIRWORTHY_MLFLOW_URI", "")
    assert settings().mlflow_uri == "http://127.0.0.1:5000"


def test_the_home_is_absolute_at_once(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIRWORTHY_HOME", "state")
    chosen = settings()
    monkeypatch.chdir("/")
    assert chosen.root == tmp_path / "state"


def test_there_is_no_database_before_the_stack_was_started(tmp_path):
    assert Settings(home=tmp_path).database_url == ""


def test_the_embedded_database_is_found_through_the_secrets(tmp_path):
    password = load_credentials(tmp_path).airworthy_password
    assert Settings(home=tmp_path, postgres_port=5999).database_url == (
        f"postgresql+psycopg2://airworthy:{password}@127.0.0.1:5999/airworthy"
    )


@pytest.mark.parametrize(
    ("variable", "value"), [("AIRWORTHY_AIRFLOW_PORT", "80"), ("AIRWORTHY_ENV", "production")]
)
def test_a_wrong_variable_is_named(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable):
        settings()


def test_the_database_address_is_not_printed(tmp_path):
    assert load_credentials(tmp_path).airworthy_password not in repr(Settings(home=Path(tmp_path)))
