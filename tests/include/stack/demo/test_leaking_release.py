from __future__ import annotations

import json
import subprocess
from datetime import date
from functools import partial
from unittest.mock import MagicMock, create_autospec

import pytest

from include.stack.airflow_api import AirflowApi
from include.stack.demo import leaking_release
from include.stack.demo.console import Step
from include.stack.demo.leaking_release import roll_out_leaking_version, train_leaking_version
from include.stack.demo.runs import Demo, StepFailed
from include.stack.demo.traffic import TrafficStats

AS_OF = date(2013, 7, 1)
VERDICTS = [{"outcome": "pass"}, {"outcome": "pass"}, {"outcome": "fail"}]


@pytest.fixture
def step():
    return create_autospec(Step, instance=True, results=[])


@pytest.fixture
def trained(monkeypatch):
    """Return a function that sets what the process of the training does."""
    monkeypatch.setattr(leaking_release, "load_credentials", MagicMock())
    monkeypatch.setattr(leaking_release.environment, "environment_of", lambda *_: {})

    def end(result=None, **changes):
        done = {"returncode": 0, "stdout": json.dumps(result), "stderr": ""} | changes
        process = subprocess.CompletedProcess([], **done)
        monkeypatch.setattr(leaking_release.subprocess, "run", lambda *_, **__: process)

    return end


def results_of(step):
    return [call.args[0] for call in step.add_result.call_args_list]


def test_certified_version_is_returned(step, trained, chosen):
    trained({"version": 2, "verdicts": VERDICTS})
    assert train_leaking_version(Demo(chosen, MagicMock()), step, AS_OF) == 2
    assert results_of(step)[0] == "2 of 3 gates passed, none that blocks failed"


def test_version_that_the_gates_refuse_is_not_rolled_out(step, trained, chosen):
    trained({"version": None, "verdicts": VERDICTS, "refusal": "it is no better"})
    assert train_leaking_version(Demo(chosen, MagicMock()), step, AS_OF) is None
    assert results_of(step) == ["it is not rolled out: it is no better"]


def test_training_that_dies_ends_the_demo(step, trained, chosen):
    trained(returncode=1, stderr="DataError: no labels")
    with pytest.raises(StepFailed, match="leaking_version failed: DataError: no labels"):
        train_leaking_version(Demo(chosen, MagicMock()), step, AS_OF)


@pytest.fixture
def deployment(monkeypatch, chosen):
    """Return a function that makes the rollout end with these states of tasks."""
    traffic = MagicMock(rate=0.0, stats=TrafficStats())
    traffic.__enter__.return_value = traffic
    monkeypatch.setattr(leaking_release, "create_traffic", lambda *_, **__: traffic)
    monkeypatch.setattr(leaking_release, "_read_ledger", lambda *_: "version 2 restored: it failed")
    monkeypatch.setattr(Demo, "model_status", lambda *_: {"champion": 1})

    def end(**states):
        api = create_autospec(AirflowApi, instance=True)
        api.trigger.return_value = "manual__1"
        api.run.return_value = {"state": "failed"}
        api.log.return_value = ""
        api.explain_failure = partial(AirflowApi.explain_failure, api)
        tasks = [{"task_id": name, "state": state, "try_number": 1} for name, state in states.items()]
        api.task_instances.return_value = tasks
        return Demo(chosen, api), traffic

    return end


def test_rollback_in_a_canary_step_is_shown_with_its_reason(step, deployment):
    demo, traffic = deployment(stage="success", shadow="success", canary_75="failed", restore="success")
    roll_out_leaking_version(demo, step, 2)
    first, *_, last = results_of(step)
    assert first == "ledger: version 2 restored: it failed"
    assert last == "champion is still version 1"
    assert traffic.rate == leaking_release.REQUESTS_PER_SECOND


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        ({"shadow": "success", "promote": "success"}, "Version 2 was promoted, although it leaks"),
        ({"stage": "failed", "shadow": "upstream_failed"}, "deployment.stage failed"),
        ({"canary_25": "failed", "restore": "failed"}, "deployment.canary_25 failed"),
    ],
)
def test_other_end_of_the_rollout_ends_the_demo(step, deployment, states, reason):
    demo, _ = deployment(**states)
    with pytest.raises(StepFailed, match=reason):
        roll_out_leaking_version(demo, step, 2)
