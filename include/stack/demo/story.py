"""The first act of the demo: the life of one model, through Airflow's API, on real flights."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import date, timedelta
from typing import TYPE_CHECKING

import httpx

from include import partitions
from include.stack.demo.flight_requests import (
    USE_CASE,
    WEEK,
    create_traffic,
    describe_traffic,
    feature_selection,
    read_flights,
    select_values,
)
from include.stack.demo.flights_feed import land
from include.stack.demo.leaking_release import roll_out_leaking_version, train_leaking_version
from include.stack.demo.runs import POLL_INTERVAL_S, Demo, StepFailed
from include.stack.polling import wait_for_value
from include.stack.verdicts import describe_verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from include.stack.demo.console import DemoConsole, Step

FEATURES_DAG = "flight_features_features"
REPORTS_DAG = "airport_weather_features"
BACKFILLED = ("arrivals", "flights")
HISTORY_FIRST = date(2013, 1, 1)
HISTORY_LAST = date(2013, 6, 30)
FIRST_AS_OF = date(2013, 3, 1)
CHALLENGER_AS_OF = date(2013, 7, 1)
BACKFILL_TIMEOUT_S = 300.0
PARTITIONS_TIMEOUT_S = 180.0
DEPLOYMENT_TIMEOUT_S = 600.0
REQUEST_TIMEOUT_S = 10.0
# On a busy machine the model server's look-up may exceed its time limit.
ONLINE_FEATURES_TIMEOUT_S = 15.0


def run_steps(demo: Demo, console: DemoConsole) -> None:
    """Run the steps in order; data and models of an earlier demo are used again."""
    with console.step("Real flights and weather land, by the day and by the hour") as step:
        files = land(demo.settings.landing_uri, WEEK[-1] + timedelta(days=1))
        step.add_result(f"{files} new files; the arrivals of a day land one day later")
    with console.step("History, January to June, in one bulk run per dataset; weather to 7 July") as step:
        ingest_history(demo, step)
    with console.step("1 to 7 July as a backfill, one run a day; features follow by assets") as step:
        backfill_week(demo, step)
    release_versions(demo, console)
    with console.step("Batch scoring of 7 July") as step:
        run_batch_scoring(demo, step)
    with console.step("A caller who sends only keys: a flight and its weather station") as step:
        request_by_key(demo, step)
    with console.step("Monitoring, with Evidently's report") as step:
        run_monitoring(demo, step)


def release_versions(demo: Demo, console: DemoConsole) -> None:
    """Release a first model, one that leaks and has to be rolled back, and a better one."""
    if not demo.model_status(USE_CASE).get("champion"):
        with console.step("A first model, trained as of 1 March") as step:
            release_first_model(demo, step)
    with console.step("A challenger that leaks, trained as of 1 July: no gate sees it") as step:
        leaking = train_leaking_version(demo, step, CHALLENGER_AS_OF)
    if leaking is not None:
        with console.step("Its rollout under live traffic: it fails and is rolled back") as step:
            roll_out_leaking_version(demo, step, leaking)
    with console.step("A challenger without the leak, trained as of 1 July") as step:
        version = train_model(demo, step, CHALLENGER_AS_OF)
    if version is not None:
        with console.step("Its rollout under live traffic") as step:
            release_model(demo, step, version)


def ingest_history(demo: Demo, step: Step) -> None:
    """Ingest half a year, with the weather of the week after it too, and wait for the features."""
    key = partitions.format_key(partitions.parse_key(f"{HISTORY_FIRST}..{HISTORY_LAST}"))
    successful = demo.api.runs(FEATURES_DAG, state="success")
    if any(run["partition_key"] == key for run in successful):
        step.add_result("exists already")
        return
    former_ids = {dag_id: demo.run_ids(dag_id) for dag_id in (REPORTS_DAG, FEATURES_DAG)}
    # With the flights last, one run builds all days. A week of hours would be 168 runs, so it is in the bulk.
    _ingest_in_bulk(demo, step, {"weather_reports": WEEK[-1], "weather": WEEK[-1]})
    _ingest_in_bulk(demo, step, {"arrivals": HISTORY_LAST, "flights": HISTORY_LAST})
    for dag_id, known_ids in former_ids.items():
        features_run = demo.find_new_run(step, dag_id, known_ids)
        if features_run is None:
            raise StepFailed(f"{dag_id} did not follow its datasets. Is it paused?")
        demo.require_success(step, dag_id, features_run)
        figures = demo.api.xcom(dag_id, features_run, "validate", "figures")
        step.add_result(f"{dag_id.removesuffix('_features')}: {figures['rows']:,} rows")


def _ingest_in_bulk(demo: Demo, step: Step, last_days: dict[str, date]) -> None:
    """Ingest datasets from the first day to a last one, one run per dataset."""
    run_ids = {}
    for name, last in last_days.items():
        conf = {"first": str(HISTORY_FIRST), "last": str(last)}
        run_ids[name] = demo.api.trigger(f"{name}_ingestion", conf)
    for name, run_id in run_ids.items():
        demo.require_success(step, f"{name}_ingestion", run_id)
        figures = demo.api.xcom(f"{name}_ingestion", run_id, "validate", "figures")
        step.add_result(f"{name}: {figures['rows']:,} rows, {figures['quarantined']} of them quarantined")


def backfill_week(demo: Demo, step: Step) -> None:
    """Backfill a week, one run a day, and wait for its features."""
    keys = [str(day) for day in WEEK]
    published = {run["partition_key"] for run in demo.api.runs(FEATURES_DAG, state="success")}
    if published >= set(keys):
        step.add_result("exists already")
        return
    backfills = [demo.api.backfill(f"{name}_ingestion", WEEK[0], WEEK[-1]) for name in BACKFILLED]

    def have_ended() -> bool | None:
        if all(demo.api.backfill_done(backfill) for backfill in backfills):
            return True
        step.show_progress(f"{_count_running_ingestions(demo)} runs at work")
        return None

    if wait_for_value(have_ended, timeout=BACKFILL_TIMEOUT_S, interval=POLL_INTERVAL_S) is None:
        page = f"{demo.settings.airflow_public_uri}/backfills"
        raise StepFailed(f"The backfills {backfills} did not end: {page}")
    _wait_for_features(demo, step, keys)
    n_runs = len(keys) * (len(backfills) + 1)
    step.add_result(
        f"{len(backfills)} backfills of {len(keys)} days: {n_runs} runs with those of the features"
    )


def release_first_model(demo: Demo, step: Step, as_of: date = FIRST_AS_OF) -> None:
    """Train and release the first model, and raise StepFailed if it does not pass its gates."""
    version = train_model(demo, step, as_of)
    if version is None:
        raise StepFailed("The first model did not pass its gates, so the demo cannot go on.")
    release_model(demo, step, version)


def train_model(demo: Demo, step: Step, as_of: date) -> int | None:
    """Train as of a day, and return the registered version as `finish_training` does."""
    run_id = demo.api.trigger(f"{USE_CASE}_training", {"as_of": str(as_of)})
    return finish_training(demo, step, run_id)


def finish_training(demo: Demo, step: Step, run_id: str) -> int | None:
    """
    Wait for a run of the training, and show the verdicts of the gates.

    Returns
    -------
    int | None
        The registered version; None if the model did not pass its gates.

    Raises
    ------
    StepFailed
        If a task failed for another reason than the gates.
    """
    dag_id = f"{USE_CASE}_training"
    tasks = demo.finish_run(step, dag_id, run_id)
    verdicts = demo.api.xcom(dag_id, run_id, "gate", "verdicts") or []
    for verdict in verdicts:
        step.add_detail(describe_verdict(verdict))
    if verdicts:
        step.add_result(_count_passed(verdicts))
    failed = [name for name, state in tasks.items() if state == "failed"]
    if failed == ["gate"] and verdicts:
        step.add_result("the gates refused the model: the champion stays, and nothing has to be repaired")
        return None
    if failed:
        raise StepFailed(demo.api.explain_failure(dag_id, run_id, failed[0]))
    version = int(demo.api.xcom(dag_id, run_id, "register"))
    step.add_result(f"certified and registered as version {version}")
    return version


def _count_passed(verdicts: Sequence[Mapping[str, str]]) -> str:
    """Return how many gates passed, and the outcomes of the others."""
    others = [
        f"{verdict['gate']} {verdict['outcome']}" for verdict in verdicts if verdict["outcome"] != "pass"
    ]
    passed = f"{len(verdicts) - len(others)} of {len(verdicts)} gates passed"
    return "; ".join([passed, *others])


def release_model(demo: Demo, step: Step, version: int, days: Sequence[date] = WEEK) -> None:
    """Wait for the deployment of a version, while callers send flights of `days` to the champion, if any."""
    dag_id = f"{USE_CASE}_deployment"
    run_id = demo.find_deployment(step, dag_id, version)
    traffic = None
    with ExitStack() as callers:
        if demo.model_status(USE_CASE).get("champion"):
            traffic = callers.enter_context(create_traffic(demo, days))
        demo.require_success(step, dag_id, run_id, timeout=DEPLOYMENT_TIMEOUT_S)
    if traffic is not None:
        describe_traffic(step, traffic.stats)
    step.add_result(f"champion is version {demo.model_status(USE_CASE)['champion']}")


def run_batch_scoring(demo: Demo, step: Step) -> None:
    """Score the last day of the week in a batch."""
    dag_id = f"{USE_CASE}_scoring"
    run_id = demo.api.trigger(dag_id, {"first": str(WEEK[-1])})
    demo.require_success(step, dag_id, run_id)
    figures = demo.api.xcom(dag_id, run_id, "score", "figures")
    scored = f"{figures['rows']:,} flights scored by version {figures['version']}"
    step.add_result(f"{scored}, mean {figures['mean']:.3f}")


def request_by_key(demo: Demo, step: Step) -> None:
    """Send the keys of a flight and of its weather station alone; the model server looks features up."""
    entities = feature_selection().spine.entities
    flight = read_flights(demo, WEEK[-1:])[0]
    url = f"{demo.settings.gateway_uri}/models/{USE_CASE}/invocations"
    body = {"dataframe_records": [select_values(flight, entities)]}

    def send() -> httpx.Response | None:
        response = httpx.post(url, json=body, timeout=REQUEST_TIMEOUT_S)
        return None if response.status_code == httpx.codes.SERVICE_UNAVAILABLE else response

    response = wait_for_value(send, timeout=ONLINE_FEATURES_TIMEOUT_S, interval=POLL_INTERVAL_S)
    if response is None:
        raise StepFailed(f"{url} answered 503 to keys alone for {ONLINE_FEATURES_TIMEOUT_S:.0f} s.")
    if not response.is_success:
        raise StepFailed(f"{url} answered {response.status_code} to keys alone: {response.text[:300]}")
    keys = ", ".join(str(flight[name]) for name in entities)
    step.add_result(f"{keys}: {response.json()['predictions'][0]:.3f}, from online features of two views")


def run_monitoring(demo: Demo, step: Step) -> tuple[str, str]:
    """Run the monitoring, show what it found, and return its run and the action that it decided."""
    dag_id = f"{USE_CASE}_monitoring"
    run_id = demo.api.trigger(dag_id)
    tasks = demo.finish_run(step, dag_id, run_id)
    for task_id in ("detect_drift", "decide"):
        if tasks[task_id] != "success":
            raise StepFailed(demo.api.explain_failure(dag_id, run_id, task_id))
    drift = demo.api.xcom(dag_id, run_id, "detect_drift", "figures")
    decision = demo.api.xcom(dag_id, run_id, "decide")
    step.add_result(f"drift: {drift['outcome']}, {drift['reason']}")
    step.add_result(f"decision: {decision['action']}: {decision['reason']}")
    step.add_result(f"report: {demo.api.xcom(dag_id, run_id, 'detect_drift', '_link_DriftReportLink')}")
    return run_id, str(decision["action"])


def _count_running_ingestions(demo: Demo) -> int:
    return sum(len(demo.api.runs(f"{name}_ingestion", state="running")) for name in BACKFILLED)


def _wait_for_features(demo: Demo, step: Step, keys: list[str]) -> None:
    """Wait until a features run of each partition has succeeded, and raise StepFailed if one fails."""

    def are_published() -> bool | None:
        # Newest first: of several runs of a partition, the newest counts.
        runs = {run["partition_key"]: run for run in reversed(demo.api.runs(FEATURES_DAG))}
        states = {key: runs[key]["state"] if key in runs else "missing" for key in keys}
        failed = [key for key, state in states.items() if state == "failed"]
        if failed:
            link = demo.api.link(FEATURES_DAG, runs[failed[0]]["dag_run_id"])
            raise StepFailed(f"{FEATURES_DAG} failed for {failed[0]}: {link}")
        n_published = sum(state == "success" for state in states.values())
        step.show_progress(f"features: {n_published} of {len(states)}")
        return n_published == len(states) or None

    if wait_for_value(are_published, timeout=PARTITIONS_TIMEOUT_S, interval=POLL_INTERVAL_S) is None:
        raise StepFailed(
            f"{FEATURES_DAG} did not follow for {', '.join(keys)} within {PARTITIONS_TIMEOUT_S:.0f} s. "
            "Is it paused?"
        )
