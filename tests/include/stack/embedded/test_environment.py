from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import yaml

from include.credentials import load_credentials
from include.settings import Settings
from include.stack.embedded import environment
from include.stack.embedded.programs import PROGRAMS


def secrets_in(text: str, home) -> set[str]:
    return {name for name, secret in asdict(load_credentials(home)).items() if secret in text}


@pytest.mark.parametrize(
    ("kind", "needed"),
    [
        ("database", set()),
        ("mlflow", {"mlflow_password"}),
        ("airworthy", {"airworthy_password"}),
        (
            "airflow",
            {"airworthy_password", "airflow_password", "fernet_key", "jwt_secret", "api_secret_key"},
        ),
    ],
)
def test_program_sees_only_the_secrets_that_it_needs(chosen, kind, needed):
    variables = environment.environment_of(kind, chosen, load_credentials(chosen.root))
    assert secrets_in(json.dumps(variables), chosen.root) == needed


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_command_lines_have_no_secret(chosen, program):
    load_credentials(chosen.root)
    assert not secrets_in(" ".join(program.command(chosen)), chosen.root)


def test_shared_variables_give_the_same_settings(chosen, monkeypatch):
    load_credentials(chosen.root)
    variables = environment.shared(chosen)
    assert not secrets_in(json.dumps(variables), chosen.root)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    again = Settings()
    assert again.ports == chosen.ports
    secret = {"database_url", "pseudonym_key", "gateway_secret"}
    assert again.model_dump(exclude=secret) == chosen.model_dump(exclude=secret)


def test_caller_overrides_tuning_but_no_address(chosen, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__PARALLELISM", "9")
    monkeypatch.setenv("AIRFLOW__API__PORT", "1")
    variables = environment.environment_of("airflow", chosen, load_credentials(chosen.root))
    assert variables["AIRFLOW__CORE__PARALLELISM"] == "9"
    assert variables["AIRFLOW__API__PORT"] == str(chosen.airflow_port)


@pytest.mark.parametrize("kind", ["mlflow", "airworthy", "airflow"])
def test_mlflow_client_gives_up_after_3_retries(chosen, kind):
    variables = environment.environment_of(kind, chosen, load_credentials(chosen.root))
    assert variables["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "3"


def test_composed_services_have_the_same_rules():
    composed = yaml.safe_load((environment.REPOSITORY / "docker-compose.yaml").read_text())["services"]
    embedded = {name: value for name, value in environment.QUIET.items() if name.startswith("MLFLOW_HTTP")}
    for service in ("scheduler", "worker", "triggerer", "mlflow", "controller"):
        assert composed[service]["environment"].items() >= embedded.items()
    for service in ("worker", "controller"):  # where models are loaded
        allowed = composed[service]["environment"]["AIRWORTHY_ALLOW_PICKLE"]
        assert allowed == "${AIRWORTHY_ALLOW_PICKLE:-true}"


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_no_program_listens_on_every_address(chosen, program):
    assert "0.0.0.0" not in " ".join(program.command(chosen))
