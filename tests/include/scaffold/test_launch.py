from __future__ import annotations

import json
from unittest.mock import Mock, create_autospec

import pandas as pd
import pytest

from include.catalog import catalog
from include.data.lake.delta_tables import Lake
from include.scaffold import launch
from include.settings import settings
from include.specifications import declared_specification
from include.stack.airflow_api import AirflowApi
from include.stack.demo.console import DemoConsole
from include.stack.demo.runs import Demo, StepFailed


def test_dags_that_do_not_appear_are_explained(declare_model, monkeypatch):
    declare_model("customers")
    monkeypatch.setattr(launch, "DAGS_TIMEOUT_S", 0.1)
    api = create_autospec(AirflowApi, instance=True)
    api.dags.return_value = [{"dag_id": "customers_rows_ingestion"}]
    api.import_errors.return_value = [{"stack_trace": "Traceback\nNameError: name 'x' is not defined\n"}]
    with pytest.raises(StepFailed, match="did not appear in 0 s: NameError: name 'x'"):
        launch.launch_model(Demo(settings(), api), DemoConsole(), "customers")


def test_row_of_a_request_is_plain_json(declare_model, tmp_path, monkeypatch):
    declared = declare_model("readings")
    lake = Lake(str(tmp_path / "lake"))
    monkeypatch.setenv("AIRWORTHY_LAKE_URI", lake.uri)
    settings.cache_clear()
    view = declared.feature_views["readings_features"]
    rows = pd.DataFrame(
        {
            "row_id": ["a"], "at": pd.to_datetime(["2025-01-02T00:00:00Z"]), "sensor": ["pump"],
            "load": [1.5], "vibration": [None], "running": [True], "_airworthy_day": ["2025-01-02"],
            "readings_rows_known_at": pd.to_datetime(["2025-01-02T00:00:00Z"]),
        }
    )  # fmt: skip
    lake.publish(view.name, rows, [rows["at"][0].date()], metadata={})
    row = launch.newest_row(declared_specification(declared.use_cases["readings"], declared))
    assert json.loads(json.dumps(row)) == {
        "sensor": "pump", "load": 1.5, "vibration": None, "running": True,
    }  # fmt: skip


@pytest.fixture
def champion(declare_model, monkeypatch):
    """Have version 1 of `customers` answer, as it is declared; return a function that launches the model."""
    use_case = declare_model("customers").use_cases["customers"]
    certified = declared_specification(use_case)
    stack = create_autospec(Demo, instance=True)
    stack.model_status.return_value = {"champion": 1, "challenger": None}
    monkeypatch.setattr(launch, "_wait_for_dags", lambda *_: None)
    monkeypatch.setattr(launch, "_ingest_history", lambda *_: [])
    monkeypatch.setattr(launch, "_specification_of", lambda stack, use_case, version: certified)
    monkeypatch.setattr(launch, "_train", lambda *_: 2)
    monkeypatch.setattr(
        launch, "_ask", lambda stack, specification: (str(specification.features), {"predictions": [1.0]})
    )
    return lambda: launch.launch_model(stack, DemoConsole(), "customers")


def test_model_as_declared_is_not_trained_again(champion):
    assert champion().challenger is None


def test_changed_declaration_is_trained(champion, monkeypatch):
    use_case = catalog().use_cases["customers"]
    changed = use_case.model_copy(update={"features": use_case.features[:-1]})
    monkeypatch.setattr(launch, "catalog", lambda: Mock(use_cases={"customers": changed}))
    launched = champion()
    assert (launched.version, launched.challenger) == (1, 2)
    # The champion is asked for what it was trained on.
    assert launched.command == str(use_case.features)


def test_view_that_was_built_again_is_trained(champion, monkeypatch):
    monkeypatch.setattr(launch, "_ingest_history", lambda *_: ["code of customers_features"])
    assert champion().challenger == 2
