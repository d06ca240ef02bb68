from __future__ import annotations

import json
from unittest.mock import create_autospec

import pandas as pd
import pytest

from include.data.lake.delta_tables import Lake
from include.scaffold import launch
from include.settings import settings
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
    row = launch.newest_row(declared.use_cases["readings"])
    assert json.loads(json.dumps(row)) == {
        "sensor": "pump", "load": 1.5, "vibration": None, "running": True,
    }  # fmt: skip
