"""Lineage of tasks as Airflow's provider sends it to a receiver of OpenLineage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from openlineage.client import OpenLineageClient

from airflow.providers.openlineage import conf
from airflow.providers.openlineage.extractors.manager import ExtractorManager
from airflow.providers.openlineage.plugins.adapter import OpenLineageAdapter
from airflow.sdk import TaskInstanceState

from airworthy import lineage_events
from airworthy.operators.features import BuildFeaturesOperator
from airworthy.operators.ingestion import PublishPartitionOperator
from airworthy.operators.registration import RegisterModelOperator
from airworthy.operators.training import TrainModelOperator
from include.storage.staging import Staging
from tests.plugins.airworthy.operators import test_features
from tests.plugins.airworthy.operators.test_training import gate, run_until_evaluation

observed = test_features.observed

ROOT = Path(__file__).parents[3]
TRANSPORT = "AIRFLOW__OPENLINEAGE__TRANSPORT"
IMPORTS = """
import sys
import airworthy.operators.features, airworthy.operators.ingestion, airworthy.operators.registration
print(sorted(name for name in sys.modules if name.startswith("openlineage")))
"""


@pytest.fixture
def receiver():
    """Return the address of a receiver over HTTP, and the events that it gets."""
    events = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            events.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            """Write nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield SimpleNamespace(uri=f"http://127.0.0.1:{server.server_port}", events=events)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def emit(receiver, monkeypatch):
    """Return a function that sends the event of a finished operator, and returns what arrived."""
    config = {"type": "http", "url": receiver.uri, "endpoint": "api/v1/lineage"}
    monkeypatch.setenv(TRANSPORT, json.dumps(config))
    adapter = OpenLineageAdapter(OpenLineageClient(config={"transport": config}))

    def send(operator):
        run = SimpleNamespace(run_id="manual__1")
        metadata = ExtractorManager().extract_metadata(run, operator, TaskInstanceState.SUCCESS, None)
        adapter.complete_task(
            run_id=str(uuid.uuid4()),
            job_name=operator.task_id,
            end_time=datetime.now(UTC).isoformat(),
            task=metadata,
            **dict.fromkeys(("nominal_start_time", "nominal_end_time", "owners", "tags", "job_description")),
        )
        return receiver.events[-1]

    return send


def versions(datasets):
    return {dataset["name"]: dataset["facets"]["version"]["datasetVersion"] for dataset in datasets}


def test_publication_reports_the_table_and_its_version(emit, lake, context):
    rows = pd.DataFrame({"_airworthy_day": ["2013-01-01"], "id": ["a"]})
    frame = Staging(lake.uri, {}, "lake_default").write("run", "validated", rows)
    operator = PublishPartitionOperator(task_id="publish", table="flights", frame=frame)
    version = operator.execute(context({"partition_key": "2013-01-01"}))
    event = emit(operator)
    assert (event["eventType"], event["inputs"]) == ("COMPLETE", [])
    (output,) = event["outputs"]
    assert (output["namespace"], output["name"]) == (f"file://{lake.uri}", "flights")
    assert versions(event["outputs"]) == {"flights": str(version)}


def test_features_report_the_versions_that_were_read(emit, observed, context):
    operator = BuildFeaturesOperator(task_id="build", feature_view="flight_features")
    operator.execute(context(test_features.RUN))
    assert versions(emit(operator)["inputs"]) == {
        name: str(observed.version(name)) for name in ("flights", "weather")
    }


def test_model_reports_its_tables_its_version_and_its_digest(
    emit, flown, database, registry, use_case, context
):
    run = context()
    made = run_until_evaluation(use_case, run)
    gate(use_case, run, **made)
    operator = RegisterModelOperator(task_id="register", use_case=use_case.name, **made)
    version = operator.execute(run)
    event = emit(operator)
    tables = versions(event["inputs"])
    assert {use_case.feature_view, use_case.label.dataset} <= set(tables)
    (model,) = event["outputs"]
    assert versions([model]) == {use_case.name: str(version)}
    facet = model["facets"][lineage_events.MODEL_FACET]
    assert facet["certified_digest"] == made["candidate"]["digest"]
    assert facet["run_id"] == made["candidate"]["run_id"]
    assert facet["code_version"]
    trained = TrainModelOperator(task_id="train", use_case=use_case.name, snapshot=made["snapshot"])
    trained.execute(run)
    assert versions(emit(trained)["inputs"]) == tables


def test_nothing_is_reported_without_a_transport(monkeypatch):
    monkeypatch.delenv(TRANSPORT, raising=False)
    assert not lineage_events.is_reported()
    monkeypatch.setenv(TRANSPORT, json.dumps({"type": "console"}))
    assert not conf.is_disabled()
    assert lineage_events.is_reported()


def test_operators_import_nothing_of_openlineage():
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}"}
    ran = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True, env=environment
    )
    assert ran.stdout.strip() == "[]"
