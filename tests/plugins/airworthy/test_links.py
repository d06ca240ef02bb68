"""Links of tasks: right behind a proxy and on another host, and empty where there is nothing to see."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowNotFoundException

from airworthy import links
from airworthy.hooks.gateway import GatewayHook
from airworthy.hooks.model_registry import ModelRegistryHook
from airworthy.operators.base import ModelOperator
from airworthy.operators.promotion import PromoteModelOperator
from airworthy_plugin import AirworthyPlugin
from include.errors import ServiceUnavailable

BASES = {
    "one machine": ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    "another host and port": ("http://ml.example.org:9090", "http://ml.example.org:9090"),
    "behind a proxy": ("https://example.org/airflow/", "https://example.org/airflow"),
}
LINKS = AirworthyPlugin.operator_extra_links
ATTRIBUTES = sorted({getattr(link, "attribute", "evidence_url") for link in LINKS})
LEASE = {"use_case": "delay", "version": 3, "epoch": 1, "actor": "ann"}


@pytest.fixture
def connections(monkeypatch):
    """Set the connections of MLflow and the gateway as under Compose: another address for browsers."""
    for name, public in (
        ("MLFLOW_DEFAULT", "https://mlflow.example.org/"),
        ("GATEWAY_DEFAULT", "https://example.org/g"),
    ):
        value = {"conn_type": "http", "host": "http://inside:5000", "extra": {"public_uri": public}}
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(value))


@pytest.mark.parametrize("case", BASES)
def test_pages_of_airflow_have_its_public_address(monkeypatch, case):
    base_url, address = BASES[case]
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
    operator = ModelOperator(task_id="t", use_case="a/b")
    link = links.ModelPageLink().get_link(operator, ti_key=None)
    assert link == f"{address}/airworthy/models/a/b"
    assert links.report_url("drift/delay/r.html") == f"{address}/airworthy/reports/drift/delay/r.html"


@pytest.mark.usefixtures("connections")
def test_pages_of_services_have_their_public_address():
    mlflow = ModelRegistryHook()
    assert mlflow.version_url("delay", 3) == "https://mlflow.example.org/#/models/delay/versions/3"
    assert GatewayHook().page("delay") == "https://example.org/g/models/delay"
    promote = PromoteModelOperator(task_id="promote", use_case="delay", lease=LEASE)
    assert links.RegistryVersionLink().get_link(promote, ti_key=None) == mlflow.version_url("delay", 3)
    assert links.ModelsLink().get_link(promote, ti_key=None) == GatewayHook().page("delay")


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize("link", LINKS, ids=lambda link: link.name)
def test_link_without_an_address_is_empty(link, value):
    operator = SimpleNamespace(use_case=None, **dict.fromkeys(ATTRIBUTES, value))
    assert link.get_link(operator, ti_key=None) == ""


@pytest.mark.parametrize("error", [ServiceUnavailable("away"), AirflowNotFoundException("no connection")])
def test_service_that_is_away_adds_no_error_to_the_log(error):
    class Operator:
        @property
        def evidence_url(self):
            raise error

    assert links.MlflowRunLink().get_link(Operator(), ti_key=None) == ""


def test_task_without_inputs_has_no_link():
    with DAG("d", schedule=None):
        earlier = ModelOperator(task_id="train", use_case="delay")
        operator = ModelOperator(task_id="gate", use_case="delay", candidate=earlier.output)
    assert links.MlflowRunLink().get_link(operator, ti_key=None) == ""


def test_names_of_links_are_unique_and_registered():
    names = [link.name for link in LINKS]
    assert len(names) == len(set(names))
