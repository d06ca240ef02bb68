from __future__ import annotations

from datetime import date
from functools import partial
from unittest.mock import create_autospec

import pytest

from include.stack.airflow_api import AirflowApi
from include.stack.demo.console import Step
from include.stack.demo.runs import Demo, StepFailed
from include.stack.demo.story import train_model

AS_OF = date(2013, 3, 1)
VERDICTS = [
    {
        "gate": "threshold_roc_auc",
        "outcome": "fail",
        "severity": "block",
        "reason": "roc_auc 0.5 is under 0.62",
    }
]


@pytest.fixture
def api():
    """Return Airflow's API, whose runs have ended."""
    api = create_autospec(AirflowApi, instance=True)
    api.trigger.return_value = "manual__1"
    api.link.return_value = "http://airflow/run"
    api.run.return_value = {"state": "failed"}
    api.explain_failure = partial(AirflowApi.explain_failure, api)
    return api


@pytest.fixture
def step():
    return create_autospec(Step, instance=True, results=[])


def end_tasks(api, **states):
    tasks = [{"task_id": name, "state": state, "try_number": 3} for name, state in states.items()]
    api.task_instances.return_value = tasks


def results_of(step):
    return [call.args[0] for call in step.add_result.call_args_list]


def test_model_that_passed_its_gates_has_a_version(api, step, chosen):
    end_tasks(api, gate="success", register="success")
    api.xcom.side_effect = [[], 4]
    assert train_model(Demo(chosen, api), step, AS_OF) == 4
    api.trigger.assert_called_once_with("flight_delay_training", {"as_of": "2013-03-01"})


def test_refusal_by_the_gates_is_a_result_and_no_failure(api, step, chosen):
    end_tasks(api, gate="failed", register="upstream_failed")
    api.xcom.return_value = VERDICTS
    assert train_model(Demo(chosen, api), step, AS_OF) is None
    step.add_detail.assert_called_once_with("threshold_roc_auc: fail: roc_auc 0.5 is under 0.62")
    summary, refusal = results_of(step)
    assert summary == "0 of 1 gates passed; threshold_roc_auc fail"
    assert "the champion stays" in refusal


@pytest.mark.parametrize("task", ["snapshot", "register"])
def test_failure_of_another_task_ends_the_demo_with_its_reason(api, step, chosen, task):
    end_tasks(api, **{task: "failed"})
    api.xcom.return_value = VERDICTS
    api.log.return_value = "all was well\nDataError: no day has labels\nTask ended"
    with pytest.raises(StepFailed, match=rf"{task} failed: DataError: no day has labels\nhttp://airflow/run"):
        train_model(Demo(chosen, api), step, AS_OF)
    assert api.log.call_args.kwargs == {"try_number": 3}  # of the last try


def test_gate_that_failed_without_verdicts_ends_the_demo(api, step, chosen):
    end_tasks(api, gate="failed")
    api.xcom.return_value = None
    api.log.return_value = ""
    with pytest.raises(StepFailed, match="gate failed: its log is empty"):
        train_model(Demo(chosen, api), step, AS_OF)
