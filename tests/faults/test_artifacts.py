"""Models on their way through MLflow into an object store, and back."""

from __future__ import annotations

import uuid

from include.modeling.registry.registry import Registry
from include.settings import Settings
from include.stack.embedded.programs import BY_NAME
from tests.conftest import ARTIFACTS


def test_the_stack_keeps_the_files_of_models_where_the_settings_say(tmp_path):
    settings = Settings(home=tmp_path, artifacts_uri="s3://models/here")
    assert "--artifacts-destination=s3://models/here" in BY_NAME["mlflow"].command(settings)


def test_a_file_of_a_run_lies_in_the_bucket_and_comes_back(mlflow_server, object_store, tmp_path):
    registry, name = Registry(mlflow_server), f"fetched_{uuid.uuid4().hex[:8]}"
    tags = {"airworthy.dag": "training", "airworthy.run": "one", "airworthy.partition": ""}
    run_id = registry.run_for(name, tags)
    page = tmp_path / "page.html"
    page.write_text("<p>é</p>")
    registry.log_file(run_id, page)
    kept = object_store.keys(f"s3://{object_store.bucket}/{ARTIFACTS}")
    assert [path for path in kept if run_id in path and path.endswith("page.html")]
    found = registry.file(run_id, "page.html", tmp_path / "back")
    assert found is not None
    assert found.read_text() == "<p>é</p>"
