"""Backfills of datasets, features and scores: each day is rebuilt once, in the requested order."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest

from include.data.lake.commit_log import list_commits, producing_commit
from include.data.lake.delta_tables import Lake
from include.stack.demo.flights_feed import land
from tests.conftest import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

FIRST = date(2013, 3, 2)
LAST = date(2013, 3, 4)
DAYS = [date(2013, 3, day) for day in (3, 4)]
FEATURES = "flight_features_features"
SCORES = "air_time_scoring"


def wait_until_settled(airflow, *dag_ids):
    """
    Wait until no run of these DAGs is active and the scheduler has nothing to start.

    The scheduler creates the runs that follow from assets before it schedules tasks. Hence it has handled all
    assets that were published before `probe` was triggered when `probe` has ended.
    """
    is_settled = False
    while not is_settled:
        wait_until(lambda: not count_active(airflow, dag_ids), 200, f"the end of the runs of {dag_ids}")
        before = [airflow.runs(dag_id) for dag_id in dag_ids]
        probe = airflow.trigger("probe")
        assert airflow.wait("probe", probe, 200) == "success"
        is_settled = before == [airflow.runs(dag_id) for dag_id in dag_ids]


def count_active(airflow, dag_ids):
    states = Counter()
    for dag_id in dag_ids:
        states.update(run["state"] for run in airflow.runs(dag_id))
    return states["queued"] + states["running"]


def count_runs(airflow, dag_id):
    """Count the runs of a DAG by partition and state."""
    return Counter((run["partition_key"], run["state"]) for run in airflow.runs(dag_id))


def run_backfill(airflow, dag_id, days, **options):
    """Backfill days; return the partitions of the dry run and the new runs of features and scores."""
    before = {name: count_runs(airflow, name) for name in (FEATURES, SCORES)}
    body = {
        "dag_id": dag_id, "from_date": f"{days[0]}T00:00:00Z", "to_date": f"{days[-1]}T00:00:00Z",
        "reprocess_behavior": "completed", "max_active_runs": 2,
    }  # fmt: skip
    planned = airflow.post("/backfills/dry_run", body | options)["backfills"]
    backfill = airflow.post("/backfills", body | options)["id"]
    wait_until(lambda: airflow.backfill_done(backfill), 200, "the backfill")
    wait_until_settled(airflow, FEATURES, SCORES)
    new = {name: count_runs(airflow, name) - before[name] for name in before}
    return [day["partition_key"] for day in planned], new[FEATURES], new[SCORES]


def one_success_each(days):
    return {(str(day), "success"): 1 for day in days}


@pytest.fixture(scope="module")
def march(stack, airflow):
    """Ingest the first days of March in bulk, wait for the runs that follow, and return the lake."""
    land(stack.landing_uri, date(2013, 3, 6))
    span = {"first": str(FIRST), "last": str(LAST)}
    for name in ("flights", "weather"):
        run = airflow.trigger(f"{name}_ingestion", span)
        assert airflow.wait(f"{name}_ingestion", run, 200) == "success"
    lake = Lake(stack.lake_uri)
    wait_until(lambda: set(DAYS) <= set(lake.days("flight_features")), 200, "the features of March")
    wait_until_settled(airflow, FEATURES, SCORES)
    return lake


def test_backfilled_dataset_rebuilds_features_and_scores_once(march, airflow):
    planned, features, scores = run_backfill(airflow, "flights_ingestion", DAYS)
    assert planned == [str(day) for day in DAYS]
    assert (features, scores) == (one_success_each(DAYS), one_success_each(DAYS))
    rows = march.read("flights", DAYS)
    assert not rows["flight_id"].duplicated().any()
    runs = {producing_commit(list_commits(march, "flights"), day).run for day in DAYS}
    assert len(runs) == len(DAYS)
    assert all(run.startswith("flights_ingestion/backfill__") for run in runs)


def test_backwards_backfill_of_features_runs_newest_day_first(march, airflow):
    options = {"run_backwards": True, "max_active_runs": 1}
    planned, features, scores = run_backfill(airflow, FEATURES, DAYS, **options)
    assert planned == [str(day) for day in reversed(DAYS)]
    assert (features, scores) == (one_success_each(DAYS), one_success_each(DAYS))
    runs = [run for run in airflow.runs(FEATURES) if run["run_type"] == "backfill"]
    newest = sorted(runs, key=lambda run: run["start_date"])[-len(DAYS) :]
    assert [run["partition_key"] for run in newest] == planned


def test_backfilled_scores_rebuild_nothing_else(march, airflow):
    planned, features, scores = run_backfill(airflow, SCORES, DAYS[:1])
    assert (planned, features, scores) == ([str(DAYS[0])], Counter(), one_success_each(DAYS[:1]))


def test_features_wait_until_all_their_datasets_are_rebuilt(march, airflow):
    incomplete = [date(2013, 3, 6)]
    assert run_backfill(airflow, "flights_ingestion", incomplete)[1:] == (Counter(), Counter())
    # Features are built from the weather of the day before.
    assert run_backfill(airflow, "weather_ingestion", [date(2013, 3, 5)])[1:] == (
        one_success_each(incomplete),
        one_success_each(incomplete),
    )
