from __future__ import annotations

import pytest

from include.errors import SettingsError
from include.stack import environment
from include.stack.airflow_settings import FILE, read
from include.stack.credentials import load


def test_the_projects_file_names_the_four_connections_with_this_stacks_addresses(chosen):
    variables = environment.shared(chosen) | {
        "AIRWORTHY_DATABASE_PASSWORD": load(chosen.root).airworthy_password
    }
    connections = {entry["conn_id"]: entry for entry in read(FILE, variables)["connections"]}
    assert set(connections) == {"mlflow_default", "airworthy_db", "lake_default", "gateway_default"}
    assert connections["mlflow_default"]["conn_host"] == chosen.mlflow_uri
    assert connections["airworthy_db"]["conn_port"] == str(chosen.postgres_port)
    assert connections["lake_default"]["conn_extra"]["lake_uri"] == chosen.lake_uri


def test_a_variable_that_is_not_set_is_named_with_the_file(tmp_path):
    file = tmp_path / "airflow_settings.yaml"
    file.write_text("airflow:\n  variables:\n    - {variable_name: a, variable_value: '${MISSING}'}\n")
    with pytest.raises(SettingsError, match=rf"{file}.*MISSING"):
        read(file, {})


@pytest.mark.parametrize("text", ["", "airflow: []", "connections: []", "a: [", "just words"])
def test_a_file_of_another_shape_is_refused(tmp_path, text):
    file = tmp_path / "airflow_settings.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=str(file)):
        read(file, {})


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"nowhere\.yaml"):
        read(tmp_path / "nowhere.yaml", {})
