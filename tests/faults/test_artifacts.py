"""Artifacts that MLflow writes to the object store and reads from it."""

from __future__ import annotations

import uuid

from include.modeling.registry.registry import Registry
from include.settings import Settings
from include.stack.embedded.programs import BY_NAME
from tests.conftest import ARTIFACTS


def test_stack_writes_artifacts_to_the_configured_uri(tmp_path):
    settings = Settings(home=tmp_path, artifacts_uri="s3://models/here")
    assert "--artifacts-destination=s3://models/here" in BY_NAME["mlflow"].command(settings)


def test_file_of_a_run_is_stored_in_the_bucket_and_read_back(mlflow_on_store, object_store, tmp_path):
    registry = Registry(mlflow_on_store)
    name = f"fetched_{uuid.uuid4().hex[:8]}"
    tags = {"airworthy.dag": "training", "airworthy.run": "nightly", "airworthy.partition": ""}
    run_id = registry.run_for(name, tags)
    page = tmp_path / "page.html"
    page.write_text("<p>é</p>")
    registry.log_file(run_id, page)
    stored = object_store.keys(f"s3://{object_store.bucket}/{ARTIFACTS}")
    assert [path for path in stored if run_id in path and path.endswith("page.html")]
    restored = registry.read_file(run_id, "page.html")
    assert restored is not None
    assert restored.decode() == "<p>é</p>"
