"""Launch of a model on the running stack: history, features, training, gates, release and one request."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from include import partitions
from include.catalog import catalog
from include.data.build_code import stale_ranges
from include.data.feature_store.feature_rows import read_feature_rows
from include.data.lake.delta_tables import Lake
from include.errors import AirworthyError
from include.modeling.pipeline.input_changes import declared_changes
from include.modeling.registration.versions import verify_version
from include.modeling.registry.registry import Registry
from include.scaffold.history import datasets_of, landed_partitions, views_of
from include.settings import settings
from include.specifications import certified_specification
from include.stack.demo.runs import Demo, StepFailed
from include.stack.polling import wait_for_value
from include.stack.verdicts import describe_verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.declarations import Dataset, FeatureView, UseCase
    from include.declarations.specification import Specification
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
    """
    A model that answers.

    Attributes
    ----------
    use_case : str
        Its name.
    version : int
        The champion, which answers.
    challenger : int or None
        A version that was trained from a changed declaration; its rollout has begun.
    command : str
        A request as a shell command.
    response : dict
        The response to it.
    """

    use_case: str
    version: int
    challenger: int | None
    command: str
    response: dict[str, Any]


def launch_model(stack: Demo, console: DemoConsole, name: str) -> LaunchedModel:
    """
    Release the first version, or begin the rollout of one that is declared in another way, and ask it once.

    What exists already is used again. A rollout after the first needs the requests of callers, so its end is
    not awaited.

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
        rebuilt = _ingest_history(stack, step, use_case)
    status = stack.model_status(name)
    champion = status.get("champion")
    challenger = status.get("challenger")
    if champion is None:
        with console.step("A model is trained and judged by its gates") as step:
            champion = _train(stack, step, name)
        with console.step(f"Version {champion} is released") as step:
            run_id = stack.find_deployment(step, f"{name}_deployment", champion, FOLLOWER_TIMEOUT_S)
            stack.require_success(step, f"{name}_deployment", run_id, DEPLOYMENT_TIMEOUT_S)
    newest = challenger or champion
    changes = declared_changes(_specification_of(stack, use_case, newest), use_case)
    changed = [*rebuilt, *(change.what for change in changes)]
    if changed:
        with console.step("The changed declaration is trained and judged by its gates") as step:
            step.add_result(f"changed since version {newest}: {', '.join(changed)}")
            challenger = _train(stack, step, name)
    with console.step("It answers over HTTP") as step:
        command, response = _ask(stack, _specification_of(stack, use_case, champion))
        step.add_result(f"version {champion}: {response['predictions'][0]}")
    return LaunchedModel(name, champion, challenger, command, response)


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


def _ingest_history(stack: Demo, step: Step, use_case: UseCase) -> list[str]:
    """
    Ingest what has landed, one bulk run for each dataset, and wait for the features of all of it.

    Returns
    -------
    list of str
        What has changed: the code of each view that was built again.
    """
    pending = [dataset for dataset in datasets_of(use_case) if not _is_published(dataset)]
    features = [f"{view.name}_features" for view in views_of(use_case)]
    former_ids = {dag_id: stack.run_ids(dag_id) for dag_id in features}
    for dataset in pending:
        for dag_id, run_id in _start_ingestion(stack, dataset):
            stack.require_success(step, dag_id, run_id, HISTORY_TIMEOUT_S)
            figures = stack.api.xcom(dag_id, run_id, "validate", "figures") or {}
            quarantined = f", {figures['quarantined']} quarantined" if figures.get("quarantined") else ""
            step.add_result(f"{dataset.name}: {figures.get('rows', 0):,} rows{quarantined}")
    rebuilt = []
    for view in views_of(use_case):
        _await_features(stack, step, view, former_ids[f"{view.name}_features"], follows=bool(pending))
        if _rebuild_stale(stack, step, view):
            rebuilt.append(f"code of {view.name}")
        step.add_result(f"{view.name}: {len(_open_lake().partitions(view.name))} partitions")
    return rebuilt


def _start_ingestion(stack: Demo, dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Start one run for each contiguous range of landed partitions; yield its DAG and id."""
    dag_id = f"{dataset.name}_ingestion"
    for part in partitions.contiguous_ranges(landed_partitions(dataset), dataset.calendar):
        yield dag_id, stack.api.trigger(dag_id, _bounds(part))


def _bounds(part: Sequence[partitions.Partition]) -> dict[str, str]:
    return {
        "first": partitions.format_partition(part[0]),
        "last": partitions.format_partition(part[-1]),
    }


def _is_published(dataset: Dataset) -> bool:
    """Return whether all that has landed is in the lake, as the dataset is declared now."""
    lake = _open_lake()
    if stale_ranges(lake, dataset.name):
        return False
    published = set(lake.partitions(dataset.name))
    return bool(published) if dataset.whole else set(landed_partitions(dataset)) <= published


def _open_lake() -> Lake:
    return Lake(settings().lake_uri)


def _await_features(
    stack: Demo, step: Step, view: FeatureView, former_ids: set[str], *, follows: bool
) -> None:
    """Wait for the run that follows the ingestion; without one, the features must exist."""
    dag_id = f"{view.name}_features"
    if follows or not _open_lake().partitions(view.name):
        run_id = stack.find_new_run(step, dag_id, former_ids, FOLLOWER_TIMEOUT_S)
        if run_id is None:
            raise StepFailed(
                f"{dag_id} did not follow its datasets within {FOLLOWER_TIMEOUT_S:.0f} s. Is it paused?"
            )
        stack.require_success(step, dag_id, run_id, HISTORY_TIMEOUT_S)


def _rebuild_stale(stack: Demo, step: Step, view: FeatureView) -> bool:
    """Build what other code built, which no dataset brings; return whether there was any."""
    stale = stale_ranges(_open_lake(), view.name)
    for part in stale:
        dag_id = f"{view.name}_features"
        stack.require_success(step, dag_id, stack.api.trigger(dag_id, _bounds(part)), HISTORY_TIMEOUT_S)
    return bool(stale)


def _specification_of(stack: Demo, use_case: UseCase, version: int) -> Specification:
    """Return what a version was trained from."""
    registry = Registry(stack.settings.mlflow_uri)
    certificate = verify_version(registry, use_case.name, version, trusted=stack.settings.trusted_keys)
    return certified_specification(certificate.snapshot, use_case)


def _train(stack: Demo, step: Step, name: str) -> int:
    """Train as of the newest labels, and return the registered version."""
    dag_id = f"{name}_training"
    run_id = stack.api.trigger(dag_id)
    tasks = stack.finish_run(step, dag_id, run_id, TRAINING_TIMEOUT_S)
    for verdict in stack.api.xcom(dag_id, run_id, "gate", "verdicts") or []:
        step.add_result(describe_verdict(verdict))
    failed = [task for task, state in tasks.items() if state == "failed"]
    if failed:
        raise StepFailed(stack.api.explain_failure(dag_id, run_id, failed[0]))
    version = stack.api.xcom(dag_id, run_id, "register")
    if version is None:
        raise StepFailed(f"{dag_id} registered no version: {stack.api.link(dag_id, run_id)}")
    return int(version)


def _ask(stack: Demo, certified: Specification) -> tuple[str, dict[str, Any]]:
    """Send the features of the newest row, as a caller does; return the shell command and the response."""
    url = f"{stack.settings.gateway_uri}/models/{certified.use_case.name}/invocations"
    body = json.dumps({"dataframe_records": [newest_row(certified)]})
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
    return command, response


def newest_row(certified: Specification) -> dict[str, Any]:
    """Return the features of a row of the newest partition that has rows, in the types of JSON."""
    lake = _open_lake()
    for day in reversed(lake.days(certified.selection.spine.table)):
        frame = read_feature_rows(certified.selection, lake, [day], names=certified.features)
        if len(frame):
            row: dict[str, Any] = json.loads(frame.tail(1).to_json(orient="records", date_format="iso"))[0]
            return {name: row[name] for name in certified.features}
    raise AirworthyError(f"{certified.use_case.name}: its features have no rows. Ingest its datasets first.")
