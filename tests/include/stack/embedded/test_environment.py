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
def test_a_program_sees_the_secrets_it_needs_and_no_other(chosen, kind, needed):
    variables = environment.environment_of(kind, chosen, load_credentials(chosen.root))
    assert secrets_in(json.dumps(variables), chosen.root) == needed


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_no_secret_stands_on_a_command_line(chosen, program):
    load_credentials(chosen.root)
    assert not secrets_in(" ".join(program.command(chosen)), chosen.root)


def test_the_shared_variables_hold_no_secret_and_make_the_same_settings_again(chosen, monkeypatch):
    load_credentials(chosen.root)
    variables = environment.shared(chosen)
    assert not secrets_in(json.dumps(variables), chosen.root)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    again = Settings()
    assert again.ports == chosen.ports
    assert again.model_dump(exclude={"database_url"}) == chosen.model_dump(exclude={"database_url"})


def test_tuning_can_be_overridden_from_outside_but_addresses_cannot(chosen, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__PARALLELISM", "9")
    monkeypatch.setenv("AIRFLOW__API__PORT", "1")
    variables = environment.environment_of("airflow", chosen, load_credentials(chosen.root))
    assert variables["AIRFLOW__CORE__PARALLELISM"] == "9"
    assert variables["AIRFLOW__API__PORT"] == str(chosen.airflow_port)


@pytest.mark.parametrize("kind", ["mlflow", "airworthy", "airflow"])
def test_an_outage_of_mlflow_costs_a_retry_of_the_task_and_not_minutes_of_the_clients(chosen, kind):
    assert (
        environment.environment_of(kind, chosen, load_credentials(chosen.root))[
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
        ]
        == "3"
    )


def test_the_composed_services_keep_to_the_same_rules():
    composed = yaml.safe_load((environment.REPOSITORY / "docker-compose.yaml").read_text())["services"]
    embedded = {name: value for name, value in environment.QUIET.items() if name.startswith("MLFLOW_HTTP")}
    for service in ("scheduler", "worker", "triggerer", "mlflow", "controller"):
        assert composed[service]["environment"].items() >= embedded.items()
    for service in ("worker", "controller"):  # where models are loaded
        allowed = composed[service]["environment"]["AIRWORTHY_ALLOW_PICKLE"]
        assert allowed == "${AIRWORTHY_ALLOW_PICKLE:-true}"


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_every_program_that_listens_is_told_the_loopback_or_nothing(chosen, program):
    assert "0.0.0.0" not in " ".join(program.command(chosen))
