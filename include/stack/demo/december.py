"""The second act of the demo: a model of one month in December, its drift, retraining and replacement."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from include import partitions
from include.credentials import load_credentials
from include.database.tables import connect, monitoring_result
from include.stack.demo.flight_requests import USE_CASE
from include.stack.demo.flights_feed import DATASETS, land
from include.stack.demo.runs import StepFailed
from include.stack.demo.story import (
    FEATURES_DAG,
    REPORTS_DAG,
    finish_training,
    release_first_model,
    release_model,
    run_monitoring,
)
from include.stack.embedded import environment

if TYPE_CHECKING:
    from include.stack.demo.console import DemoConsole, Step
    from include.stack.demo.runs import Demo

    DayRange = tuple[date, date]

FIRST = date(2013, 1, 1)
FIRST_AS_OF = date(2013, 2, 1)
NOVEMBER_WEEK = (date(2013, 11, 25), date(2013, 12, 1))
DECEMBER_WEEK = (date(2013, 12, 2), date(2013, 12, 8))
# The features of 27 July do not pass their checks: a flight at 01:06 is predicted before they are online.
FLIGHTS = ((FIRST, date(2013, 7, 26)), (date(2013, 7, 28), NOVEMBER_WEEK[1]))
SCORING_DAG = f"{USE_CASE}_scoring"
INGESTION_TIMEOUT_S = 600.0


def run_december(demo: Demo, console: DemoConsole) -> None:
    """
    Run the steps in order.

    Raises
    ------
    StepFailed
        If `flight_delay` has a champion, or a step does not end as it should.
    """
    if demo.model_status(USE_CASE).get("champion"):
        raise StepFailed(
            f"{USE_CASE} has a champion already, and the second act begins without one. Run `make down`, "
            "then `AIRWORTHY_HOME=.airworthy-2 make demo ACT=2`."
        )
    with console.step("Real flights and weather, January to November, in bulk") as step:
        ingest_year(demo, step)
    with console.step("A first model of one month, trained as of 1 February, and its release") as step:
        release_first_model(demo, step, FIRST_AS_OF)
    with console.step("Batch scores of the week from 25 November, and their monitoring") as step:
        first, last = NOVEMBER_WEEK
        scoring_run = demo.api.trigger(SCORING_DAG, {"first": str(first), "last": str(last)})
        demo.require_success(step, SCORING_DAG, scoring_run)
        monitor_scores(demo, step)
    with console.step("Time moves to 9 December: a week lands; features and scores follow by assets") as step:
        ingest_week(demo, step)
    with console.step("The monitoring of that week: the governor decides") as step:
        training_run = require_retraining(demo, step)
    with console.step("The retraining that it started, on the year until 8 December") as step:
        challenger = finish_training(demo, step, training_run)
        if challenger is None:
            raise StepFailed("The gates refused the challenger: the champion stays.")
    with console.step("Its rollout, while callers send the flights of December") as step:
        release_model(demo, step, challenger, partitions.parse_key(partitions.format_key(DECEMBER_WEEK)))


def ingest_year(demo: Demo, step: Step) -> None:
    """Ingest everything until 1 December, and wait for the features."""
    last = NOVEMBER_WEEK[1]
    files = land(demo.settings.landing_uri, last + timedelta(days=1))
    step.add_result(f"{files:,} files landed")
    reports_runs = demo.run_ids(REPORTS_DAG)
    _ingest_days(demo, step, {name: (FIRST, last) for name in DATASETS if name != "flights"})
    # With the flights last, one run builds the features of all days.
    for days in FLIGHTS:
        flights_runs = demo.run_ids(FEATURES_DAG)
        _ingest_days(demo, step, {"flights": days})
        _follow(demo, step, FEATURES_DAG, flights_runs)
    _follow(demo, step, REPORTS_DAG, reports_runs)


def ingest_week(demo: Demo, step: Step) -> None:
    """Ingest the week of December, and wait for its features and scores."""
    land(demo.settings.landing_uri, DECEMBER_WEEK[1] + timedelta(days=1))
    former = {dag_id: demo.run_ids(dag_id) for dag_id in (REPORTS_DAG, FEATURES_DAG, SCORING_DAG)}
    _ingest_days(demo, step, {name: DECEMBER_WEEK for name in DATASETS if name != "flights"})
    _follow(demo, step, REPORTS_DAG, former[REPORTS_DAG])
    _ingest_days(demo, step, {"flights": DECEMBER_WEEK})
    _follow(demo, step, FEATURES_DAG, former[FEATURES_DAG])
    scoring_run = _follow(demo, step, SCORING_DAG, former[SCORING_DAG])
    figures = demo.api.xcom(SCORING_DAG, scoring_run, "score", "figures")
    step.add_result(f"{figures['rows']:,} flights scored by version {figures['version']}")


def require_retraining(demo: Demo, step: Step) -> str:
    """Run the monitoring, and return the training that it started; raise StepFailed if it decided else."""
    run_id, action = monitor_scores(demo, step)
    if action != "retrain":
        raise StepFailed(f"The governor decided {action}, so that no retraining follows.")
    return f"decided__{run_id}"


def monitor_scores(demo: Demo, step: Step) -> tuple[str, str]:
    """Monitor the newest scores, show their quality too, and return the run and the action decided."""
    run_id, action = run_monitoring(demo, step)
    quality = _read_figures(demo, f"{USE_CASE}/{USE_CASE}_monitoring/{run_id}")["quality"]
    step.add_result(f"label quality: {quality['outcome']}, {quality['reason']}")
    return run_id, action


def _ingest_days(demo: Demo, step: Step, days: dict[str, DayRange]) -> None:
    """Ingest a range of days of each dataset, one run per dataset."""
    run_ids = {}
    for name, (first, last) in days.items():
        run_ids[name] = demo.api.trigger(f"{name}_ingestion", {"first": str(first), "last": str(last)})
    for name, run_id in run_ids.items():
        demo.require_success(step, f"{name}_ingestion", run_id, INGESTION_TIMEOUT_S)
        figures = demo.api.xcom(f"{name}_ingestion", run_id, "validate", "figures")
        step.add_result(f"{name}: {figures['rows']:,} rows")


def _follow(demo: Demo, step: Step, dag_id: str, former_ids: set[str]) -> str:
    """Wait for the run that follows its data by assets, and return its id."""
    run_id = demo.find_new_run(step, dag_id, former_ids)
    if run_id is None:
        raise StepFailed(f"{dag_id} did not follow its data. Is it paused?")
    demo.require_success(step, dag_id, run_id, INGESTION_TIMEOUT_S)
    return run_id


def _read_figures(demo: Demo, run: str) -> dict[str, Any]:
    """Return the measurements of a monitoring run."""
    credentials = load_credentials(demo.settings.root)
    engine = connect(environment.database_url("airworthy", demo.settings, credentials))
    query = select(monitoring_result.c.figures).where(monitoring_result.c.run == run)
    with engine.connect() as connection:
        figures: dict[str, Any] = connection.execute(query).scalar_one()
    engine.dispose()
    return figures
