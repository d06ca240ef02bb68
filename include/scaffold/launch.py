"""Launch of a model on the running stack: history, features, training, gates, release and one request."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from include import partitions
from include.catalog import catalog
from include.errors import AirworthyError
from include.scaffold.history import datasets_of, landed_partitions, views_of
from include.stack.demo.runs import Demo, StepFailed
from include.stack.polling import wait_for_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.declarations import Dataset, FeatureView, UseCase
    from include.stack.demo.console import DemoConsole, Step

DAGS_TIMEOUT_S = 240.0
HISTORY_TIMEOUT_S = 900.0
FOLLOWER_TIMEOUT_S = 180.0
TRAINING_TIMEOUT_S = 1_200.0
DEPLOYMENT_TIMEOUT_S = 900.0
ANSWER_TIMEOUT_S = 60.0
REQUEST_TIMEOUT_S = 20.0
POLL_INTERVAL_S = 1.0


@dataclass(frozen=True)
class LaunchedModel:
    """A model that answers: its version, a request as a shell command, and the response to it."""

    use_case: str
    version: int
    command: str
    response: dict[str, Any]


def launch_model(stack: Demo, console: DemoConsole, name: str) -> LaunchedModel:
    """
    Release the first version of a model and ask it once; what exists already is used again.

    Parameters
    ----------
    stack
        The running stack.
    console
        Where the steps and their progress are shown.
    name
        A declared use case.

    Raises
    ------
    DataError
        If nothing has landed.
    StepFailed
        If a task failed, or a gate refused the model; the message has the reason and the page of the run.
    ServiceUnavailable
        If the stack does not answer.
    """
    use_case = catalog().use_cases[name]
    with console.step("Airflow reads the declarations") as step:
        _wait_for_dags(stack, step, use_case)
    with console.step("The history is ingested in bulk, and features follow") as step:
        _ingest_history(stack, step, use_case)
    champion = stack.model_status(name).get("champion")
    if champion is None:
        with console.step("A model is trained and judged by its gates") as step:
            version = _train_first(stack, step, name)
        with console.step(f"Version {version} is released") as step:
            dag_id = f"{name}_deployment"
            run_id = stack.find_deployment(step, dag_id, version, FOLLOWER_TIMEOUT_S)
            stack.require_success(step, dag_id, run_id, DEPLOYMENT_TIMEOUT_S)
        champion = version
    with console.step("It answers over HTTP") as step:
        launched = _ask(stack, use_case, int(champion))
        step.add_result(f"version {launched.version}: {launched.response['predictions'][0]}")
    return launched


def _wait_for_dags(stack: Demo, step: Step, use_case: UseCase) -> None:
    """Wait until Airflow knows the DAGs of the model and its data, and none is an import error."""
    needed = {f"{dataset.name}_ingestion" for dataset in datasets_of(use_case)}
    needed |= {f"{view.name}_features" for view in views_of(use_case)}
    needed |= {f"{use_case.name}_training", f"{use_case.name}_deployment"}

    def look() -> bool | None:
        missing = sorted(needed - {str(dag["dag_id"]) for dag in stack.api.dags()})
        step.show_progress(f"waiting for {len(missing)} DAGs, such as {missing[0]}" if missing else "")
        return None if missing else True

    if wait_for_value(look, timeout=DAGS_TIMEOUT_S, interval=POLL_INTERVAL_S) is None:
        problems = [str(error["stack_trace"]).strip().splitlines()[-1] for error in stack.api.import_errors()]
        reason = "; ".join(problems) or "the DAG processor may not run: see `airworthy stack status`"
        raise StepFailed(f"The DAGs of {use_case.name} did not appear in {DAGS_TIMEOUT_S:.0f} s: {reason}")
    step.add_result(f"{len(needed)} DAGs")


def _ingest_history(stack: Demo, step: Step, use_case: UseCase) -> None:
    """Ingest what has landed, one bulk run for each dataset, and wait for the features of all of it."""
    pending = [dataset for dataset in datasets_of(use_case) if not _is_published(dataset)]
    features = [f"{view.name}_features" for view in views_of(use_case)]
    former_ids = {dag_id: stack.run_ids(dag_id) for dag_id in features}
    for dataset in pending:
        for dag_id, run_id in _start_ingestion(stack, dataset):
            stack.require_success(step, dag_id, run_id, HISTORY_TIMEOUT_S)
            figures = stack.api.xcom(dag_id, run_id, "validate", "figures") or {}
            quarantined = f", {figures['quarantined']} quarantined" if figures.get("quarantined") else ""
            step.add_result(f"{dataset.name}: {figures.get('rows', 0):,} rows{quarantined}")
    for view in views_of(use_case):
        _await_features(stack, step, view, former_ids[f"{view.name}_features"], follows=bool(pending))


def _start_ingestion(stack: Demo, dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Start one run for each contiguous range of landed partitions; yield its DAG and id."""
    dag_id = f"{dataset.name}_ingestion"
    for part in partitions.contiguous_ranges(landed_partitions(dataset), dataset.calendar):
        bounds = {
            "first": partitions.format_partition(part[0]),
            "last": partitions.format_partition(part[-1]),
        }
        yield dag_id, stack.api.trigger(dag_id, bounds)


def _is_published(dataset: Dataset) -> bool:
    published = set(_lake_partitions(dataset.name))
    return bool(published) if dataset.whole else set(landed_partitions(dataset)) <= published


def _lake_partitions(table: str) -> list[partitions.Partition]:
    from include.data.lake.delta_tables import Lake
    from include.settings import settings

    return Lake(settings().lake_uri).partitions(table)


def _await_features(
    stack: Demo, step: Step, view: FeatureView, former_ids: set[str], *, follows: bool
) -> None:
    """Wait for the run that follows the ingestion; without one, the features must exist."""
    dag_id = f"{view.name}_features"
    if follows or not _lake_partitions(view.name):
        run_id = stack.find_new_run(step, dag_id, former_ids, FOLLOWER_TIMEOUT_S)
        if run_id is None:
            raise StepFailed(
                f"{dag_id} did not follow its datasets within {FOLLOWER_TIMEOUT_S:.0f} s. Is it paused?"
            )
        stack.require_success(step, dag_id, run_id, HISTORY_TIMEOUT_S)
    step.add_result(f"{view.name}: {len(_lake_partitions(view.name))} partitions")


def _train_first(stack: Demo, step: Step, name: str) -> int:
    """Train as of the newest labels, and return the registered version."""
    dag_id = f"{name}_training"
    run_id = stack.api.trigger(dag_id)
    tasks = stack.finish_run(step, dag_id, run_id, TRAINING_TIMEOUT_S)
    for verdict in stack.api.xcom(dag_id, run_id, "gate", "verdicts") or []:
        step.add_result(f"{verdict['gate']}: {verdict['outcome']}: {verdict['reason']}")
    failed = [task for task, state in tasks.items() if state == "failed"]
    if failed:
        raise StepFailed(stack.api.explain_failure(dag_id, run_id, failed[0]))
    version = stack.api.xcom(dag_id, run_id, "register")
    if version is None:
        raise StepFailed(f"{dag_id} registered no version: {stack.api.link(dag_id, run_id)}")
    return int(version)


def _ask(stack: Demo, use_case: UseCase, version: int) -> LaunchedModel:
    """Send the features of the newest row, as a caller does, and return the response."""
    url = f"{stack.settings.gateway_uri}/models/{use_case.name}/invocations"
    body = json.dumps({"dataframe_records": [newest_row(use_case)]})
    headers = {"Content-Type": "application/json"}

    def send() -> dict[str, Any] | None:
        try:
            response = httpx.post(url, content=body, headers=headers, timeout=REQUEST_TIMEOUT_S)
        except httpx.TransportError:
            return None
        if response.status_code in {httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.NOT_FOUND}:
            return None
        if not response.is_success:
            raise StepFailed(f"{url} answers {response.status_code}: {response.text[:500]}")
        answered: dict[str, Any] = response.json()
        return answered

    response = wait_for_value(send, timeout=ANSWER_TIMEOUT_S, interval=POLL_INTERVAL_S)
    if response is None:
        raise StepFailed(f"{url} gave no answer in {ANSWER_TIMEOUT_S:.0f} s. See `airworthy stack status`.")
    command = f"curl -s {url} -H 'Content-Type: application/json' -d {shlex.quote(body)}"
    return LaunchedModel(use_case.name, version, command, response)


def newest_row(use_case: UseCase) -> dict[str, Any]:
    """Return the features of a row of the newest partition that has rows, in the types of JSON."""
    from include.data.feature_store.feature_rows import read_feature_rows
    from include.data.lake.delta_tables import Lake
    from include.settings import settings

    lake = Lake(settings().lake_uri)
    selection = catalog().features_of(use_case)
    for day in reversed(lake.days(selection.spine.table)):
        frame = read_feature_rows(selection, lake, [day])
        if len(frame):
            features = frame[list(use_case.features)].tail(1)
            row: dict[str, Any] = json.loads(features.to_json(orient="records", date_format="iso"))[0]
            return row
    raise AirworthyError(f"{use_case.name}: its features have no rows. Ingest its datasets first.")
