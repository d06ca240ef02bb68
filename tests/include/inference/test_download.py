"""Downloads from a real MLflow server, and from a fake server for responses that MLflow never gives."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from include.certificates.certificate import verify_signature
from include.errors import CertificateInvalid, DataError, ServiceUnavailable
from include.inference.download import (
    download_certificate,
    download_version,
    registered_versions,
    version_of,
)
from include.inference.model import load_model
from include.inference.scoring_protocol import frame, parse_request
from include.modeling.packaging import package
from include.modeling.registry.registry import Registry
from include.serving import paths
from include.serving.controller.preparation import prepare_version
from include.settings import settings
from include.use_cases.flight_delay import CATEGORIES, NUMBERS, USE_CASE, build_model

TAGS = {"airworthy.dag": "d", "airworthy.run": "r", "airworthy.partition": "p"}


@pytest.fixture(scope="session")
def mlflow_server(mlflow_on_store: str) -> str:
    return mlflow_on_store


@pytest.fixture
def registered(mlflow_server: str, database: Any, make_model: Any, tmp_path, monkeypatch) -> int:
    """Return a version of `flight_delay` that was packaged, certified and registered as training does it."""
    folder = tmp_path / "packaged"
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({name: rng.choice(["A", "B", "C"], 300) for name in CATEGORIES})
    rows = rows.assign(**{name: rng.normal(size=300) for name in NUMBERS})
    rows["hour"] = rng.integers(0, 7, 300)
    rows["weekday"] = rows["hour"]
    rows.loc[0, "temperature"] = np.nan
    target = (rows["wind"] > 0).astype(int)
    estimator = build_model().fit(rows[list(USE_CASE.features)], target)
    package.save_package(estimator, USE_CASE, rows, folder)
    registry = Registry(mlflow_server, database)
    run = registry.run_for("flight_delay", TAGS)
    logged = registry.log_model(run, folder, digest=package.model_digest(folder), tags={})
    make_model.certify(folder, "flight_delay")
    registry.add_certificate(logged.model_id, folder)
    monkeypatch.setenv("AIRWORTHY_MLFLOW_URI", mlflow_server)
    settings.cache_clear()
    return registry.register("flight_delay", run, logged, {})


def test_a_registered_version_predicts_its_golden_rows(registered: int) -> None:
    assert prepare_version("flight_delay", registered)
    folder = paths.model_folder("flight_delay", registered)
    model = load_model(folder, settings().trusted_keys, use_case="flight_delay")
    golden = json.loads((folder / package.GOLDEN).read_text())
    body = json.dumps({"dataframe_split": golden["dataframe_split"]}).encode()
    rows = frame([parse_request(body, "application/json", model.columns)], model.columns)
    assert model.predict(rows).tolist() == golden["predictions"]


def test_an_altered_version_is_downloaded_again(registered: int) -> None:
    prepare_version("flight_delay", registered)
    model = paths.model_folder("flight_delay", registered) / "model.skops"
    model.write_bytes(b"altered")
    with pytest.raises(CertificateInvalid, match=r"model\.skops changed"):
        prepare_version("flight_delay", registered)
    assert prepare_version("flight_delay", registered)
    assert model.read_bytes() != b"altered"


def test_files_with_another_digest_are_rejected(registered: int, mlflow_server, tmp_path) -> None:
    client = MlflowClient(mlflow_server)
    client.set_model_version_tag("flight_delay", str(registered), "airworthy.digest", "0" * 64)
    with pytest.raises(CertificateInvalid, match=f"flight_delay version {registered} is the model 0000"):
        download_version(mlflow_server, "flight_delay", registered, tmp_path / "it")
    assert not (tmp_path / "it").exists()


def test_certificate_of_a_version_is_read_alone(registered: int, mlflow_server) -> None:
    content = download_certificate(mlflow_server, "flight_delay", registered)
    certificate = verify_signature(content, settings().trusted_keys, "it")
    assert certificate.use_case == "flight_delay"
    assert registered in registered_versions(mlflow_server, "flight_delay")
    assert registered_versions(mlflow_server, "no_such_model") == set()


def test_version_without_a_certificate_is_named(mlflow_server, database, packaged) -> None:
    registry = Registry(mlflow_server, database)
    run = registry.run_for("uncertified", TAGS | {"airworthy.run": packaged.parent.name})
    logged = registry.log_model(run, packaged, digest=package.model_digest(packaged), tags={})
    version = registry.register("uncertified", run, logged, {})
    with pytest.raises(DataError, match=f"uncertified version {version} has no certificate"):
        download_certificate(mlflow_server, "uncertified", version)


def test_an_alias_gives_its_version(registered: int, mlflow_server) -> None:
    Registry(mlflow_server).set_aliases("flight_delay", challenger=registered)
    assert version_of(mlflow_server, "flight_delay", "challenger") == registered
    with pytest.raises(DataError, match="unknown"):
        version_of(mlflow_server, "flight_delay", "unknown")


def test_a_version_that_does_not_exist_is_a_data_error(mlflow_server: str, tmp_path) -> None:
    with pytest.raises(DataError, match="unknown"):
        download_version(mlflow_server, "unknown", 7, tmp_path / "7")
    assert not list(tmp_path.iterdir())


def test_unreachable_mlflow_is_service_unavailable(free_port: int, tmp_path) -> None:
    with pytest.raises(ServiceUnavailable, match="delay version 7"):
        download_version(f"http://127.0.0.1:{free_port}", "delay", 7, tmp_path / "7")


@pytest.fixture
def fake_mlflow():
    """Return the address of a fake MLflow, and its responses by path, which tests may change."""
    responses: dict[str, Any] = {
        "model-versions/get?": {"model_version": {"version": "7"}},
        "model-versions/get-download-uri": {"artifact_uri": "mlflow-artifacts:/m"},
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = next((value for key, value in responses.items() if key in self.path), None)
            self.send_response(200 if content is not None else 500)
            self.end_headers()
            self.wfile.write(content if isinstance(content, bytes) else json.dumps(content).encode())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", responses
    server.shutdown()
    server.server_close()


def test_an_interrupted_download_leaves_nothing(fake_mlflow, tmp_path) -> None:
    uri, responses = fake_mlflow
    responses["artifacts?path="] = {"files": [{"path": "MLmodel"}, {"path": "model.pkl"}]}
    responses["artifacts/m/MLmodel"] = b"fine"
    with pytest.raises(ServiceUnavailable, match="500"):
        download_version(uri, "delay", 7, tmp_path / "7")
    assert not list(tmp_path.iterdir())
    responses["artifacts/m/model.pkl"] = b"fine too"
    assert (download_version(uri, "delay", 7, tmp_path / "7") / "model.pkl").read_bytes() == b"fine too"


def test_a_file_name_outside_of_the_folder_is_rejected(fake_mlflow, tmp_path) -> None:
    uri, responses = fake_mlflow
    responses["artifacts?path="] = {"files": [{"path": "../.."}]}
    with pytest.raises(DataError, match=r"\.\."):
        download_version(uri, "delay", 7, tmp_path / "7")


@pytest.mark.parametrize("response", [{}, {"artifact_uri": None}, b"<html>", []])
def test_an_invalid_response_is_service_unavailable(fake_mlflow, tmp_path, response) -> None:
    uri, responses = fake_mlflow
    responses["model-versions/get-download-uri"] = response
    with pytest.raises(ServiceUnavailable):
        download_version(uri, "delay", 7, tmp_path / "7")


def test_files_that_mlflow_does_not_serve_are_listed(fake_mlflow, tmp_path) -> None:
    uri, responses = fake_mlflow
    responses["model-versions/get-download-uri"] = {"artifact_uri": "s3://bucket/m"}
    with pytest.raises(DataError, match="s3://bucket/m"):
        download_version(uri, "delay", 7, tmp_path / "7")
