"""The life of one model, through Airflow's API, on real flights."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import httpx

from include import partitions
from include.catalog import catalog
from include.errors import AirworthyError
from include.stack.airflow_api import FINAL, AirflowApi
from include.stack.demo.flights_feed import land
from include.stack.demo.traffic import Traffic
from include.stack.embedded import lifecycle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from include.settings import Settings
    from include.stack.demo.console import DemoConsole, Step

USE_CASE = "flight_delay"
FIRST, LAST = date(2013, 1, 1), date(2013, 6, 30)
JULY = [date(2013, 7, day) for day in range(1, 8)]
WINTER, SUMMER = date(2013, 3, 1), date(2013, 7, 1)
RATE = 120.0  # requests a second


class StepFailed(AirworthyError):
    """A run did not end as it should have."""


@dataclass(frozen=True)
class Demo:
    """The stack that the story plays on."""

    settings: Settings
    api: AirflowApi

    def finish(self, chapter: Step, dag_id: str, run_id: str, timeout: float = 400) -> dict[str, str]:
        """Wait for a run, showing what it does, and return the states of its tasks."""
        end = time.monotonic() + timeout
        while True:
            state = self.api.run(dag_id, run_id)["state"]
            tasks = {task["task_id"]: task["state"] for task in self.api.task_instances(dag_id, run_id)}
            if state in FINAL:
                return tasks
            active = [f"{name} is {now}" for name, now in tasks.items() if now not in (None, "success")]
            chapter.progress(f"{dag_id}: {', '.join(active) or state}")
            if time.monotonic() > end:
                raise StepFailed(
                    f"{dag_id} did not end within {timeout:.0f} s: {self.api.link(dag_id, run_id)}"
                )
            time.sleep(0.5)

    def succeed(self, chapter: Step, dag_id: str, run_id: str, timeout: float = 400) -> dict[str, str]:
        """Wait for a run that has to succeed."""
        tasks = self.finish(chapter, dag_id, run_id, timeout)
        failed = [name for name, state in tasks.items() if state == "failed"]
        if failed:
            raise StepFailed(self.api.explain_failure(dag_id, run_id, failed[0]))
        return tasks

    def run_since(self, chapter: Step, dag_id: str, known: set[str], timeout: float = 60) -> str | None:
        """Return the run of `dag_id` that is not among the `known` ones; None if none comes."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            new = [run["dag_run_id"] for run in self.api.runs(dag_id) if run["dag_run_id"] not in known]
            if new:
                return str(new[0])
            chapter.progress(f"waiting for {dag_id} to follow")
            time.sleep(0.5)
        return None

    def run_of(self, chapter: Step, dag_id: str, version: int, timeout: float = 60) -> str:
        """Return the deployment of `version`, once the asset event has set it off."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for run in self.api.runs(dag_id):
                events = self.api.get(f"/dags/{dag_id}/dagRuns/{run['dag_run_id']}/upstreamAssetEvents")
                if version in {event["extra"].get("version") for event in events["asset_events"]}:
                    return str(run["dag_run_id"])
            chapter.progress(f"waiting for {dag_id} to follow")
            time.sleep(0.5)
        raise StepFailed(f"{dag_id} did not follow version {version} within {timeout:.0f} s. Is it paused?")

    def known(self, dag_id: str) -> set[str]:
        """Return the runs that there are already."""
        return {run["dag_run_id"] for run in self.api.runs(dag_id)}

    def models(self) -> dict[str, Any]:
        """Return what the gateway says of the use case."""
        answer = httpx.get(f"{self.settings.gateway_uri}/models/{USE_CASE}", timeout=10)
        body: dict[str, Any] = answer.json() if answer.is_success else {}
        return body


def play(stage: Demo, narrator: DemoConsole) -> None:
    """Tell the whole story; what an earlier telling left behind is not done again."""
    with narrator.chapter("Real flights land, day by day") as chapter:
        files = land(stage.settings.landing_uri, JULY[-1] + timedelta(days=1))
        chapter.found(f"{files} new files; the arrivals of a day land one day later")
    with narrator.chapter("History, January to June, in one bulk run per dataset") as chapter:
        ingest_history(stage, chapter)
    with narrator.chapter("1 to 7 July as a backfill, one run a day; features follow by assets") as chapter:
        backfill_week(stage, chapter)
    if not stage.models().get("champion"):
        with narrator.chapter("A first model, trained as of 1 March") as chapter:
            version = train_model(stage, chapter, WINTER)
            if version is None:
                raise StepFailed(
                    "The first model did not pass its own gates, so there is nothing to go on with."
                )
            release_model(stage, chapter, version)
    with narrator.chapter("A challenger, trained as of 1 July") as chapter:
        version = train_model(stage, chapter, SUMMER)
    if version is not None:
        with narrator.chapter("Its rollout under live traffic") as chapter:
            release_model(stage, chapter, version)
    with narrator.chapter("Batch scoring of 7 July") as chapter:
        run_batch_scoring(stage, chapter)
    with narrator.chapter("A caller who sends only a flight's key") as chapter:
        ask_by_key(stage, chapter)
    with narrator.chapter("Monitoring, with Evidently's report") as chapter:
        run_monitoring(stage, chapter)


def ingest_history(stage: Demo, chapter: Step) -> None:
    """Ingest half a year, and wait until the features followed."""
    span = partitions.format_key(partitions.parse_key(f"{FIRST}..{LAST}"))
    done = [run for run in _runs_of(stage, "flight_features_features", span) if run["state"] == "success"]
    if done:
        chapter.found("there already")
        return
    followers = stage.known("flight_features_features")
    started = {
        name: stage.api.trigger(f"{name}_ingestion", {"first": str(FIRST), "last": str(LAST)})
        for name in sorted(catalog().datasets)
    }
    for name, run_id in started.items():
        stage.succeed(chapter, f"{name}_ingestion", run_id)
        figures = stage.api.xcom(f"{name}_ingestion", run_id, "validate", "figures")
        chapter.found(f"{name}: {figures['rows']:,} rows, {figures['quarantined']} of them quarantined")
    follower = stage.run_since(chapter, "flight_features_features", followers)
    if follower is None:
        raise StepFailed("flight_features_features did not follow its datasets. Is it paused?")
    stage.succeed(chapter, "flight_features_features", follower)
    figures = stage.api.xcom("flight_features_features", follower, "validate", "figures")
    chapter.found(f"flight_features: {figures['rows']:,} rows")


def backfill_week(stage: Demo, chapter: Step) -> None:
    """Backfill a week, and wait until the features followed."""
    keys = [str(day) for day in JULY]
    done = {run["partition_key"] for run in stage.api.runs("flight_features_features", state="success")}
    if done >= set(keys):
        chapter.found("there already")
        return
    began = time.monotonic()
    backfills = [
        stage.api.backfill(f"{name}_ingestion", JULY[0], JULY[-1]) for name in sorted(catalog().datasets)
    ]
    while not all(stage.api.backfill_done(backfill) for backfill in backfills):
        running = [
            run for name in catalog().datasets for run in stage.api.runs(f"{name}_ingestion", state="running")
        ]
        chapter.progress(f"{len(running)} runs at work")
        if time.monotonic() - began > 300:
            raise StepFailed(f"The backfills {backfills} did not end: {stage.settings.airflow_uri}/backfills")
        time.sleep(0.5)
    _wait_for_partitions(stage, chapter, keys)
    runs = len(keys) * (len(backfills) + 1)
    chapter.found(f"{len(backfills)} backfills of {len(keys)} days: {runs} runs with those of the features")


def train_model(stage: Demo, chapter: Step, as_of: date) -> int | None:
    """Train as of a day and return the version that passed its gates; None if they said no."""
    dag_id = f"{USE_CASE}_training"
    run_id = stage.api.trigger(dag_id, {"as_of": str(as_of)})
    tasks = stage.finish(chapter, dag_id, run_id)
    verdicts = stage.api.xcom(dag_id, run_id, "gate", "verdicts") or []
    for verdict in verdicts:
        chapter.found(f"{verdict['gate']}: {verdict['outcome']}: {verdict['reason']}")
    failed = [name for name, state in tasks.items() if state == "failed"]
    if failed == ["gate"] and verdicts:
        chapter.found("the gate said no: the champion stays, and nobody has to repair anything")
        return None
    if failed:
        raise StepFailed(stage.api.explain_failure(dag_id, run_id, failed[0]))
    version = int(stage.api.xcom(dag_id, run_id, "register"))
    chapter.found(f"certified and registered as version {version}")
    return version


def release_model(stage: Demo, chapter: Step, version: int) -> None:
    """Follow the deployment that the new candidate set off, calling the model all the while."""
    dag_id = f"{USE_CASE}_deployment"
    run_id = stage.run_of(chapter, dag_id, version)
    with ExitStack() as stack:
        traffic = None
        if stage.models().get("champion"):
            traffic = stack.enter_context(_traffic(stage))
        stage.succeed(chapter, dag_id, run_id, timeout=600)
    if traffic:
        tally = traffic.tally
        shares = ", ".join(f"version {name}: {count:,}" for name, count in sorted(tally.versions.items()))
        chapter.found(f"{tally.sent:,} requests while it was released, {tally.failed} failed ({shares})")
        chapter.found(f"latency p50 {tally.quantile(0.5):.1f} ms, p99 {tally.quantile(0.99):.1f} ms")
    chapter.found(f"champion is version {stage.models()['champion']}")


def run_batch_scoring(stage: Demo, chapter: Step) -> None:
    """Score one partition in a batch."""
    dag_id = f"{USE_CASE}_scoring"
    run_id = stage.api.trigger(dag_id, {"first": str(JULY[-1])})
    stage.succeed(chapter, dag_id, run_id)
    figures = stage.api.xcom(dag_id, run_id, "score", "figures")
    chapter.found(
        f"{figures['rows']:,} flights scored by version {figures['version']}, mean {figures['mean']:.3f}"
    )


def ask_by_key(stage: Demo, chapter: Step) -> None:
    """Send one flight's key, whose features the model server looks up."""
    flight = _flights(stage, JULY[-1:])[0]
    entity = catalog().feature_views[catalog().use_cases[USE_CASE].feature_view].entity
    address = f"{stage.settings.gateway_uri}/models/{USE_CASE}/invocations"
    for _ in range(10):  # while the machine is busy a look-up may take longer than callers are made to wait
        answer = httpx.post(address, json={"dataframe_records": [{entity: flight[entity]}]}, timeout=10)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            break
        time.sleep(0.5)
    if not answer.is_success:
        raise StepFailed(f"{address} answered {answer.status_code} to {entity} alone: {answer.text[:300]}")
    chapter.found(f"{flight[entity]}: {answer.json()['predictions'][0]:.3f}, from features that are online")


def run_monitoring(stage: Demo, chapter: Step) -> None:
    """Look at what callers sent, and decide."""
    dag_id = f"{USE_CASE}_monitoring"
    run_id = stage.api.trigger(dag_id)
    tasks = stage.finish(chapter, dag_id, run_id)
    for task_id in ("detect_drift", "decide"):
        if tasks[task_id] != "success":
            raise StepFailed(stage.api.explain_failure(dag_id, run_id, task_id))
    drift = stage.api.xcom(dag_id, run_id, "detect_drift", "figures")
    decision = stage.api.xcom(dag_id, run_id, "decide")
    chapter.found(f"drift: {drift['outcome']}, {drift['reason']}")
    chapter.found(f"decision: {decision['action']}: {decision['reason']}")
    chapter.found(f"report: {stage.api.xcom(dag_id, run_id, 'detect_drift', '_link_DriftReportLink')}")


def _traffic(stage: Demo) -> Traffic:
    entity = catalog().feature_views[catalog().use_cases[USE_CASE].feature_view].entity
    rows = _flights(stage, JULY)
    return Traffic(stage.settings.gateway_uri, USE_CASE, rows, entity=entity, rate=RATE)


def _flights(stage: Demo, days: list[date]) -> list[dict[str, Any]]:
    from include.data.lake.delta_tables import Lake

    use_case = catalog().use_cases[USE_CASE]
    entity = catalog().feature_views[use_case.feature_view].entity
    frame = Lake(stage.settings.lake_uri).read(
        use_case.feature_view, days, columns=[entity, *use_case.features]
    )
    rows: list[Any] = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return rows


def _runs_of(stage: Demo, dag_id: str, partition_key: str) -> list[dict[str, Any]]:
    return [run for run in stage.api.runs(dag_id) if run["partition_key"] == partition_key]


def _wait_for_partitions(stage: Demo, chapter: Step, keys: Iterable[str]) -> None:
    """Wait until a features run of each partition succeeded, or one of them failed."""
    dag_id, end = "flight_features_features", time.monotonic() + 180
    while time.monotonic() < end:
        runs = {run["partition_key"]: run for run in reversed(stage.api.runs(dag_id))}
        states = {key: runs[key]["state"] if key in runs else "missing" for key in keys}
        if set(states.values()) == {"success"}:
            return
        if "failed" in states.values():
            failed = next(key for key, state in states.items() if state == "failed")
            raise StepFailed(
                f"{dag_id} failed for {failed}: {stage.api.link(dag_id, runs[failed]['dag_run_id'])}"
            )
        chapter.progress(f"features: {sum(state == 'success' for state in states.values())} of {len(states)}")
        time.sleep(0.5)
    raise StepFailed(f"{dag_id} did not follow for {', '.join(keys)} within 3 minutes. Is it paused?")


def run_demo(settings: Settings, console: DemoConsole) -> bool:
    """Start the stack, play the demo, and print where to look further; return whether it succeeded."""
    try:
        with console.chapter("The stack starts") as chapter:
            lifecycle.start_stack(settings, lambda problems: chapter.progress(_unhealthy(problems)))
        play(Demo(settings, AirflowApi(settings)), console)
    except AirworthyError as error:
        console.fail(error)
        logs = settings.root / "logs"
        console.console.print(f"Logs are in {logs}; `make status` shows what runs.")
        return False
    console.keep(settings.root / "demo.json")
    console.table()
    console.console.print(lifecycle.describe_addresses(settings))
    return True


def _unhealthy(problems: dict[str, str]) -> str:
    return ", ".join(name for name, problem in problems.items() if problem)
