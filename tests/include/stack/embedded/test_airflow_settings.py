from __future__ import annotations

import pytest

from include.credentials import load_credentials
from include.errors import SettingsError
from include.stack.embedded.airflow_settings import FILE, airflow_variables, read_settings


def test_connections_have_the_addresses_of_the_stack(chosen):
    section = read_settings(FILE, airflow_variables(chosen))
    connections = {entry["conn_id"]: entry for entry in section["connections"]}
    assert set(connections) == {"mlflow_default", "airworthy_db", "lake_default", "gateway_default"}
    assert connections["mlflow_default"]["conn_host"] == chosen.mlflow_uri
    assert connections["airworthy_db"]["conn_host"] == "127.0.0.1"
    assert connections["airworthy_db"]["conn_port"] == str(chosen.postgres_port)
    assert connections["airworthy_db"]["conn_password"] == load_credentials(chosen.root).airworthy_password
    assert connections["lake_default"]["conn_extra"]["lake_uri"] == chosen.lake_uri


def test_database_url_of_the_settings_is_used(chosen):
    url = "postgresql+psycopg2://someone:secret@postgres:6543/elsewhere"
    elsewhere = chosen.model_copy(update={"database_url": url})
    section = read_settings(FILE, airflow_variables(elsewhere))
    database = next(entry for entry in section["connections"] if entry["conn_id"] == "airworthy_db")
    assert [database[f"conn_{name}"] for name in ("host", "port", "login", "password", "schema")] == [
        "postgres", "6543", "someone", "secret", "elsewhere",
    ]  # fmt: skip


def test_missing_variable_is_named_with_the_file(tmp_path):
    file = tmp_path / "airflow_settings.yaml"
    file.write_text("airflow:\n  variables:\n    - {variable_name: a, variable_value: '${MISSING}'}\n")
    with pytest.raises(SettingsError, match=rf"{file}.*MISSING"):
        read_settings(file, {})


@pytest.mark.parametrize("text", ["", "airflow: []", "connections: []", "a: [", "just words"])
def test_file_of_another_shape_is_refused(tmp_path, text):
    file = tmp_path / "airflow_settings.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=str(file)):
        read_settings(file, {})


def test_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"nowhere\.yaml"):
        read_settings(tmp_path / "nowhere.yaml", {})
