from __future__ import annotations

from functools import partial
from unittest.mock import MagicMock, create_autospec

import pytest

from include.stack.airflow_api import AirflowApi
from include.stack.demo import december
from include.stack.demo.console import DemoConsole, Step
from include.stack.demo.december import ingest_week, ingest_year, require_retraining, run_december
from include.stack.demo.runs import Demo, StepFailed

DRIFT = {"outcome": "drift", "reason": "visibility, hour"}
REPORT = "http://airflow/report"
QUALITY = {"outcome": "lost", "reason": "skill -0.045"}


@pytest.fixture
def api():
    """Return Airflow's API, whose runs have ended well."""
    api = create_autospec(AirflowApi, instance=True)
    api.trigger.return_value = "manual__1"
    api.run.return_value = {"state": "success"}
    tasks = ("detect_drift", "decide")
    api.task_instances.return_value = [
        {"task_id": name, "state": "success", "try_number": 1} for name in tasks
    ]
    api.explain_failure = partial(AirflowApi.explain_failure, api)
    return api


@pytest.fixture
def step():
    return create_autospec(Step, instance=True, results=[])


@pytest.fixture
def decide(monkeypatch, api):
    """Return a function that sets the decision of the governor."""
    read = create_autospec(december._read_figures, return_value={"quality": QUALITY})
    monkeypatch.setattr(december, "_read_figures", read)

    def set_decision(action):
        api.xcom.side_effect = [DRIFT, {"action": action, "reason": "drift in 2 of 2 checks"}, REPORT]
        return read

    return set_decision


def test_retraining_is_the_run_that_the_monitoring_started(api, step, decide, chosen):
    read = decide("retrain")
    assert require_retraining(Demo(chosen, api), step) == "decided__manual__1"
    assert read.call_args.args[1] == "flight_delay/flight_delay_monitoring/manual__1"
    assert [call.args[0] for call in step.add_result.call_args_list] == [
        "drift: drift, visibility, hour",
        "decision: retrain: drift in 2 of 2 checks",
        f"report: {REPORT}",
        "label quality: lost, skill -0.045",
    ]


def test_other_decision_ends_the_act_with_its_name(api, step, decide, chosen):
    decide("nothing")
    with pytest.raises(StepFailed, match="decided nothing"):
        require_retraining(Demo(chosen, api), step)


def test_act_does_not_begin_beside_a_champion(monkeypatch, api, chosen):
    monkeypatch.setattr(Demo, "model_status", lambda *_: {"champion": 3})
    console = MagicMock(spec=DemoConsole)
    with pytest.raises(StepFailed, match="begins without one"):
        run_december(Demo(chosen, api), console)
    console.step.assert_not_called()
    api.trigger.assert_not_called()


@pytest.fixture
def followed(monkeypatch, api):
    """Return the runs that were triggered, with their days, and those that were waited for, in order."""
    events = []

    def trigger(dag_id, conf):
        events.append((dag_id, conf["first"], conf["last"]))
        return "manual__1"

    def find_new_run(demo, step, dag_id, former_ids):
        assert former_ids == {"old"}
        events.append(dag_id)
        return "asset__1"

    api.trigger.side_effect = trigger
    api.xcom.return_value = {"rows": 7, "version": 1}
    monkeypatch.setattr(december, "land", create_autospec(december.land, return_value=5))
    monkeypatch.setattr(Demo, "run_ids", lambda *_: {"old"})
    monkeypatch.setattr(Demo, "find_new_run", find_new_run)
    monkeypatch.setattr(Demo, "require_success", create_autospec(Demo.require_success))
    return events


def test_flights_come_last_so_that_one_run_builds_features(followed, api, step, chosen):
    ingest_year(Demo(chosen, api), step)
    assert followed[3:] == [
        ("flights_ingestion", "2013-01-01", "2013-07-26"),
        "flight_features_features",
        ("flights_ingestion", "2013-07-28", "2013-12-01"),
        "flight_features_features",
        "airport_weather_features",
    ]
    assert {event[0] for event in followed[:3]} == {
        "arrivals_ingestion",
        "weather_ingestion",
        "weather_reports_ingestion",
    }
    assert {event[1:] for event in followed[:3]} == {("2013-01-01", "2013-12-01")}


def test_scores_follow_the_week_that_lands(followed, api, step, chosen):
    ingest_week(Demo(chosen, api), step)
    assert str(december.land.call_args.args[1]) == "2013-12-09"
    assert followed[-3:] == [
        ("flights_ingestion", "2013-12-02", "2013-12-08"),
        "flight_features_features",
        "flight_delay_scoring",
    ]
    step.add_result.assert_called_with("7 flights scored by version 1")
