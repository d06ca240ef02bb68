from __future__ import annotations

import re
from unittest.mock import create_autospec

import pytest

from include.stack.airflow_api import AirflowApi, RunFailed


@pytest.fixture
def api(chosen, monkeypatch):
    """Return the API of a stack in which every run failed at its task `release`."""
    api = AirflowApi(chosen)
    tasks = [{"task_id": "show", "state": "success"}, {"task_id": "release", "state": "failed"}]
    listed = [{**task, "try_number": 3} for task in tasks]
    monkeypatch.setattr(api, "wait", create_autospec(api.wait, return_value="failed"))
    monkeypatch.setattr(api, "task_instances", create_autospec(api.task_instances, return_value=listed))
    monkeypatch.setattr(
        api, "log", create_autospec(api.log, return_value="begun\nQualityFailed: no row passes")
    )
    return api


def test_failed_run_names_the_task_and_the_last_error(api):
    reason = r"flights_quarantine\.release failed: QualityFailed: no row passes\nhttp://.*/runs/manual__1"
    with pytest.raises(RunFailed, match=reason):
        api.require_success("flights_quarantine", "manual__1")
    api.log.assert_called_once_with("flights_quarantine", "manual__1", "release", try_number=3)


def test_successful_run_passes(api):
    api.wait.return_value = "success"
    api.require_success("flights_quarantine", "manual__1")
    api.log.assert_not_called()


def test_questions_of_a_model_are_answered_by_their_task(chosen, monkeypatch):
    api = AirflowApi(chosen)
    tasks = [
        {"dag_id": f"{name}_deployment", "dag_run_id": "r", "task_id": "approve", "map_index": -1}
        for name in ("delay", "delay_band")
    ]
    page = {"hitl_details": [{"task_instance": task} for task in tasks], "total_entries": 2}
    monkeypatch.setattr(api, "get", create_autospec(api.get, return_value=page))
    sent = create_autospec(api.patch)
    monkeypatch.setattr(api, "patch", sent)
    (question,) = api.questions("delay")
    api.answer(question, "Approve", "as measured")
    path = "/dags/delay_deployment/dagRuns/r/taskInstances/approve/-1/hitlDetails"
    sent.assert_called_once_with(
        path, {"chosen_options": ["Approve"], "params_input": {"reason": "as measured"}}
    )


@pytest.mark.parametrize(
    ("conf", "run_id"),
    [
        ({"first": "2013-07-01", "last": "2013-07-31"}, r"manual__2013-07-01_to_2013-07-31__\d{4}-.*"),
        ({"first": "2013-07-01T05"}, r"manual__2013-07-01T05_to_2013-07-01T05__\d{4}-.*"),
        ({"as_of": "2013-07-01"}, None),
    ],
)
def test_bulk_run_is_named_by_its_partitions(chosen, monkeypatch, conf, run_id):
    api = AirflowApi(chosen)
    sent = create_autospec(api.post, return_value={"dag_run_id": "r"})
    monkeypatch.setattr(api, "post", sent)
    api.trigger("flights_ingestion", conf)
    name = sent.call_args.args[1]["dag_run_id"]
    assert name is None if run_id is None else re.fullmatch(run_id, name)
