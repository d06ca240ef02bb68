"""Uploads to an artifact store that is full or busy."""

from __future__ import annotations

import uuid

import pytest

from include.errors import ServiceUnavailable
from include.modeling.packaging.package import model_digest
from include.modeling.registry.registry import Registry
from tests.faults.proxy import Proxy

UPLOADS = "^PUT .*/mlflow-artifacts/"


@pytest.fixture
def store(mlflow_server, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with Proxy(mlflow_server) as proxy:
        yield proxy


@pytest.fixture
def registry(store, database):
    return Registry(store.uri, database)


@pytest.fixture
def run_id(registry):
    tags = {"airworthy.dag": "training", "airworthy.run": uuid.uuid4().hex, "airworthy.partition": ""}
    return registry.run_for("flight_delay", tags)


def test_a_failed_model_upload_is_completed_by_the_next_attempt(store, registry, run_id, packaged):
    store.inject("busy", UPLOADS)
    with pytest.raises(ServiceUnavailable):
        registry.log_model(run_id, packaged, digest=model_digest(packaged), tags={})
    assert registry.logged_model(run_id) is None
    store.heal()
    logged = registry.log_model(run_id, packaged, digest=model_digest(packaged), tags={})
    assert registry.logged_model(run_id).model_id == logged.model_id


def test_a_failed_certificate_upload_is_transient(store, registry, run_id, packaged, tmp_path):
    logged = registry.log_model(run_id, packaged, digest=model_digest(packaged), tags={})
    (packaged / "certificate.json").write_text("signed")
    store.inject("busy", UPLOADS)
    with pytest.raises(ServiceUnavailable):
        registry.add_certificate(logged.model_id, packaged)
    store.heal()
    assert not (registry.fetch_model(logged.model_id, tmp_path / "fetched") / "certificate.json").exists()


def test_a_failed_file_upload_is_transient(store, registry, run_id, packaged):
    store.inject("busy", UPLOADS)
    with pytest.raises(ServiceUnavailable):
        registry.log_file(run_id, packaged / "golden.json")
