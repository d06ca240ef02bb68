"""What the demo makes of what Airflow answers; the story itself is the system test's."""

from __future__ import annotations

from datetime import date
from functools import partial
from unittest.mock import create_autospec

import pytest

from include.stack.airflow_api import AirflowApi
from include.stack.demo.console import Step
from include.stack.demo.story import Demo, StepFailed, train_model

AS_OF = date(2013, 3, 1)
VERDICTS = [{"gate": "threshold_roc_auc", "outcome": "fail", "reason": "roc_auc 0.5 is under 0.62"}]


@pytest.fixture
def api():
    """Return Airflow's API, at which every run has ended."""
    api = create_autospec(AirflowApi, instance=True)
    api.trigger.return_value = "manual__1"
    api.link.return_value = "http://airflow/run"
    api.run.return_value = {"state": "failed"}
    api.explain_failure = partial(AirflowApi.explain_failure, api)
    return api


@pytest.fixture
def chapter():
    return create_autospec(Step, instance=True, findings=[])


def ended(api, **tasks):
    api.task_instances.return_value = [
        {"task_id": name, "state": state, "try_number": 3} for name, state in tasks.items()
    ]


def said(chapter):
    return [call.args[0] for call in chapter.found.call_args_list]


def test_a_candidate_that_passed_has_a_version(api, chapter, chosen):
    ended(api, gate="success", register="success")
    api.xcom.side_effect = [[], 4]
    assert train_model(Demo(chosen, api), chapter, AS_OF) == 4
    api.trigger.assert_called_once_with("flight_delay_training", {"as_of": "2013-03-01"})


def test_a_gate_that_said_no_is_told_and_is_no_failure(api, chapter, chosen):
    ended(api, gate="failed", register="upstream_failed")
    api.xcom.return_value = VERDICTS
    assert train_model(Demo(chosen, api), chapter, AS_OF) is None
    assert said(chapter)[0] == "threshold_roc_auc: fail: roc_auc 0.5 is under 0.62"
    assert "the champion stays" in said(chapter)[1]


@pytest.mark.parametrize("task", ["snapshot", "register"])
def test_another_task_that_failed_ends_the_demo_with_its_reason(api, chapter, chosen, task):
    ended(api, **{task: "failed"})
    api.xcom.return_value = VERDICTS
    api.log.return_value = "all was well\nDataError: no day has labels\nTask ended"
    with pytest.raises(StepFailed, match=rf"{task} failed: DataError: no day has labels\nhttp://airflow/run"):
        train_model(Demo(chosen, api), chapter, AS_OF)
    assert api.log.call_args.kwargs == {"try_number": 3}  # the last one's, not the first one's


def test_a_gate_that_broke_before_it_spoke_ends_the_demo(api, chapter, chosen):
    ended(api, gate="failed")
    api.xcom.return_value = None
    api.log.return_value = ""
    with pytest.raises(StepFailed, match="gate failed: its log is empty"):
        train_model(Demo(chosen, api), chapter, AS_OF)


def test_a_run_that_does_not_end_is_given_up_with_its_address(api, chapter, chosen):
    api.run.return_value = {"state": "running"}
    ended(api, train="running")
    with pytest.raises(StepFailed, match=r"some_dag did not end within 0 s: http://airflow/run"):
        Demo(chosen, api).finish(chapter, "some_dag", "manual__1", timeout=0)
    chapter.progress.assert_called_once_with("some_dag: train is running")


def test_the_run_that_follows_is_the_one_that_was_not_there_before(api, chapter, chosen):
    api.runs.return_value = [{"dag_run_id": "new"}, {"dag_run_id": "old"}]
    stage = Demo(chosen, api)
    assert stage.run_since(chapter, "some_dag", {"old"}) == "new"
    assert stage.run_since(chapter, "some_dag", {"old", "new"}, timeout=0) is None


def test_the_deployment_of_a_version_is_the_run_that_its_event_set_off(api, chapter, chosen):
    api.runs.return_value = [{"dag_run_id": "of 3"}, {"dag_run_id": "of 4"}]
    api.get.side_effect = [{"asset_events": [{"extra": {"version": version}}]} for version in (3, 4)]
    assert Demo(chosen, api).run_of(chapter, "some_dag", 4) == "of 4"
    assert api.get.call_args.args == ("/dags/some_dag/dagRuns/of 4/upstreamAssetEvents",)
