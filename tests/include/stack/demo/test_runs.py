from __future__ import annotations

from unittest.mock import create_autospec

import pytest

from include.stack.airflow_api import AirflowApi
from include.stack.demo.console import Step
from include.stack.demo.runs import Demo, StepFailed


@pytest.fixture
def api():
    api = create_autospec(AirflowApi, instance=True)
    api.link.return_value = "http://airflow/run"
    return api


@pytest.fixture
def step():
    return create_autospec(Step, instance=True, results=[])


def test_run_that_does_not_end_is_named_with_its_page(api, step, chosen):
    api.run.return_value = {"state": "running"}
    api.task_instances.return_value = [{"task_id": "train", "state": "running"}]
    with pytest.raises(StepFailed, match=r"some_dag did not end within 0 s: http://airflow/run"):
        Demo(chosen, api).finish_run(step, "some_dag", "manual__1", timeout=0)
    step.show_progress.assert_called_once_with("some_dag: train is running")


def test_new_run_is_the_one_that_did_not_exist_before(api, step, chosen):
    api.runs.return_value = [{"dag_run_id": "new"}, {"dag_run_id": "old"}]
    demo = Demo(chosen, api)
    assert demo.find_new_run(step, "some_dag", {"old"}) == "new"
    assert demo.find_new_run(step, "some_dag", {"old", "new"}, timeout=0) is None


def test_deployment_of_a_version_is_the_run_of_its_event(api, step, chosen):
    api.runs.return_value = [{"dag_run_id": "of 3"}, {"dag_run_id": "of 4"}]
    api.get.side_effect = [{"asset_events": [{"extra": {"version": version}}]} for version in (3, 4)]
    assert Demo(chosen, api).find_deployment(step, "some_dag", 4) == "of 4"
    assert api.get.call_args.args == ("/dags/some_dag/dagRuns/of 4/upstreamAssetEvents",)


def test_deployment_that_does_not_follow_ends_the_demo(api, step, chosen):
    api.runs.return_value = []
    with pytest.raises(StepFailed, match=r"some_dag did not follow version 4 within 0 s\. Is it paused\?"):
        Demo(chosen, api).find_deployment(step, "some_dag", 4, timeout=0)
