"""Days that are made again: datasets, features and scores, each once, in the order that was asked for."""

from __future__ import annotations

import time
from collections import Counter
from datetime import date

import pytest

from include.data.lake.commit_log import list_commits, producing_commit
from include.data.lake.delta_tables import Lake
from include.stack.demo.flights_feed import land
from tests.conftest import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

FIRST, LAST = date(2013, 3, 2), date(2013, 3, 4)
DAYS = [date(2013, 3, day) for day in (3, 4)]
FEATURES, SCORES = "flight_features_features", "air_time_scoring"


def settled(airflow, *dag_ids):
    """Wait until no run of these DAGs is active, and none has followed for a while."""
    quiet = 0
    while quiet < 4:
        active = [
            run for dag in dag_ids for run in airflow.runs(dag) if run["state"] in ("queued", "running")
        ]
        quiet = 0 if active else quiet + 1
        time.sleep(0.7)


def ended(airflow, dag_id):
    """Count the runs of a DAG by partition and state."""
    return Counter((run["partition_key"], run["state"]) for run in airflow.runs(dag_id))


def backfilled(airflow, dag_id, days, **how):
    """Backfill days, wait for everything that follows, and return what it listed and the new runs."""
    before = {name: ended(airflow, name) for name in (FEATURES, SCORES)}
    body = {
        "dag_id": dag_id, "from_date": f"{days[0]}T00:00:00Z", "to_date": f"{days[-1]}T00:00:00Z",
        "reprocess_behavior": "completed", "max_active_runs": 2,
    }  # fmt: skip
    listed = airflow.post("/backfills/dry_run", body | how)["backfills"]
    made = airflow.post("/backfills", body | how)["id"]
    wait_until(lambda: airflow.backfill_done(made), 200, "the backfill")
    settled(airflow, FEATURES, SCORES)
    new = {name: ended(airflow, name) - before[name] for name in before}
    return [day["partition_key"] for day in listed], new[FEATURES], new[SCORES]


def once(days):
    return {(str(day), "success"): 1 for day in days}


@pytest.fixture(scope="module")
def march(stack, airflow):
    """The first days of March, ingested in bulk, and what followed."""
    land(stack.landing_uri, date(2013, 3, 6))
    span = {"first": str(FIRST), "last": str(LAST)}
    for name in ("flights", "weather"):
        run = airflow.trigger(f"{name}_ingestion", span)
        assert airflow.wait(f"{name}_ingestion", run, 200) == "success"
    lake = Lake(stack.lake_uri)
    wait_until(lambda: set(DAYS) <= set(lake.days("flight_features")), 100, "the features to follow")
    settled(airflow, FEATURES, SCORES)
    return lake


def test_a_dataset_made_again_is_followed_once_by_features_and_scores(march, airflow):
    listed, features, scores = backfilled(airflow, "flights_ingestion", DAYS)
    assert listed == [str(day) for day in DAYS]
    assert (features, scores) == (once(DAYS), once(DAYS))
    rows = march.read("flights", DAYS)
    assert not rows["flight_id"].duplicated().any()
    made = {producing_commit(list_commits(march, "flights"), day).run for day in DAYS}
    assert len(made) == len(DAYS)
    assert all(run.startswith("flights_ingestion/backfill__") for run in made)


def test_features_are_made_again_newest_first_and_scores_follow_once(march, airflow):
    how = {"run_backwards": True, "max_active_runs": 1}
    listed, features, scores = backfilled(airflow, FEATURES, DAYS, **how)
    assert listed == [str(day) for day in reversed(DAYS)]
    assert (features, scores) == (once(DAYS), once(DAYS))
    made = [run for run in airflow.runs(FEATURES) if run["run_type"] == "backfill"]
    began = sorted(made, key=lambda run: run["start_date"])[-len(DAYS) :]
    assert [run["partition_key"] for run in began] == listed


def test_scores_are_made_again_alone(march, airflow):
    listed, features, scores = backfilled(airflow, SCORES, DAYS[:1])
    assert (listed, features, scores) == ([str(DAYS[0])], Counter(), once(DAYS[:1]))


def test_a_day_without_its_siblings_sets_nothing_off_until_they_come(march, airflow):
    lone = [date(2013, 3, 5)]
    assert backfilled(airflow, "flights_ingestion", lone)[1:] == (Counter(), Counter())
    assert backfilled(airflow, "weather_ingestion", lone)[1:] == (once(lone), once(lone))
