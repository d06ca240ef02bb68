"""Tuning with a real MLflow and a real PostgreSQL: no ended trial is lost when a process is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from distributed import Client, LocalCluster
from joblib.externals.loky import get_reusable_executor
from sqlalchemy import text

from include.declarations import Split, Tuning
from include.errors import ConflictError, DataError, ServiceUnavailable, SettingsError, TrainingFailed
from include.modeling.pipeline.workspace import Workspace
from include.modeling.registry.provenance import Provenance, code_version
from include.modeling.tuning import executors
from include.modeling.tuning.search import _job, tune
from include.modeling.tuning.trial import FOLD, run_trial
from include.specifications import declared_specification
from tests.conftest import free_ports, wait_until
from tests.include.modeling.tuning import tunable
from tests.include.modeling.tuning.tunable import USE_CASE, build_model

ROOT = Path(__file__).parents[4]
# The processes of a cluster take long to import on a busy machine.
CLUSTER_TIMEOUT_S = 240
PROVENANCE = Provenance({"digest": "d", "as_of": "2013-02-01"}, "abc", "def")
TUNING_PROGRAM = """
import sys
from tests.include.modeling.tuning import test_search
test_search.tune_in_process(*sys.argv[1:])
"""


def tune_in_process(uri, url, run_id, folder):
    """Tune in a process that a test may kill."""
    from include.database.tables import connect
    from include.modeling.registry.registry import Registry
    from tests.include.conftest import make_flights

    sys.modules["include.use_cases.tunable"] = tunable
    engine = connect(url)
    site = Workspace(Registry(uri, engine), declared(trials=8), Path(folder), Path(folder))
    tune(site, build_model, make_flights(days=24), run_id=run_id, provenance=PROVENANCE, engine=engine)


def declared(**changes):
    tuning = Tuning(**{**USE_CASE.tuning.model_dump(), **changes})
    return USE_CASE.model_copy(update={"tuning": tuning})


@pytest.fixture(autouse=True)
def _declared(monkeypatch):
    monkeypatch.setitem(sys.modules, "include.use_cases.tunable", tunable)
    monkeypatch.setenv("AIRWORTHY_CODE_VERSION", "under-test")
    # Another test may have filled the cache.
    code_version.cache_clear()
    yield
    code_version.cache_clear()


@pytest.fixture
def run_id(registry):
    return registry.run_for(
        "tunable", {"airworthy.dag": "t", "airworthy.run": uuid.uuid4().hex, "airworthy.partition": ""}
    )


@pytest.fixture
def tuning(registry, run_id, database, flights, tmp_path):
    def run(build=build_model, *, provenance=PROVENANCE, **changes):
        folder = tmp_path / uuid.uuid4().hex
        folder.mkdir()
        site = Workspace(registry, declared(**changes), folder, folder)
        return tune(site, build, flights(days=24), run_id=run_id, provenance=provenance, engine=database)

    return run


@pytest.fixture
def children(registry, run_id):
    def find():
        experiment = registry._client.get_run(run_id).info.experiment_id
        query = f"tags.`mlflow.parentRunId` = '{run_id}'"
        runs = registry._client.search_runs([experiment], query)
        return {run.data.tags["airworthy.trial"]: run for run in runs}, len(runs)

    return find


@pytest.fixture
def ended(database):
    """Return a function that reads the time and the value of each measured trial."""

    def read():
        query = """
            SELECT trial.number, trial.datetime_complete, score.value FROM tuning.trials AS trial
            JOIN tuning.trial_values AS score USING (trial_id) WHERE trial.state = 'COMPLETE'
        """
        with database.connect() as connection:
            if connection.scalar(text("SELECT to_regclass('tuning.trial_values')")) is None:
                return {}
            return {row.number: (row.datetime_complete, row.value) for row in connection.execute(text(query))}

    return read


def test_the_best_trial_is_chosen_and_trials_are_child_runs(tuning, children, registry, run_id):
    result = tuning()
    assert (result.parameters["by"], result.metric, result.trials, result.failed) == (
        "hour",
        "log_loss",
        4,
        0,
    )
    runs, count = children()
    assert (sorted(runs), count) == ([str(number) for number in range(4)], 4)
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    best = min(runs.values(), key=lambda run: run.data.metrics["log_loss"])
    assert best.data.metrics["log_loss"] == result.score
    assert best.data.params == {name: str(value) for name, value in result.parameters.items()}
    assert {"fold_1.log_loss", "fold_2.log_loss"} <= set(best.data.metrics)
    parent = registry._client.get_run(run_id).data
    assert parent.metrics["tuning.trials"] == 4
    assert parent.metrics["tuning.best_score"] == result.score
    assert parent.metrics["tuning.cpu_seconds"] > 0
    assert json.loads(parent.tags["airworthy.parameters"]) == result.parameters
    assert {file.path for file in registry._client.list_artifacts(run_id)} >= {"tuning.json", "tuning.png"}


def test_the_defaults_are_the_first_trial(tuning, children):
    tuning(trials=1)
    runs, _ = children()
    assert runs["0"].data.params == {"strength": "1.0", "by": "hour"}


def test_a_second_attempt_repeats_no_trial(tuning, children):
    def broken(**_):
        raise AssertionError("measured again")

    first = tuning()
    assert tuning(broken) == first
    assert children()[1] == 4


def test_other_data_or_code_is_a_conflict(tuning):
    tuning(trials=1)
    with pytest.raises(ConflictError, match="new DAG run"):
        tuning(trials=1, provenance=replace(PROVENANCE, code_version="newer"))


def test_a_failed_trial_is_logged_with_its_problem(tuning, children):
    def reject_noise(*, strength=1.0, by="hour"):
        if by == "noise":
            raise ValueError("not by noise")
        return build_model(strength=strength)

    result = tuning(reject_noise)
    assert result.failed > 0
    failed = [run for run in children()[0].values() if run.info.status == "FAILED"]
    assert len(failed) == result.failed
    assert "not by noise" in failed[0].data.tags["airworthy.problem"]


def test_a_tuning_without_any_result_fails_with_the_reason(tuning):
    def broken(*, strength=1.0, by="hour"):
        raise ZeroDivisionError("by nothing")

    with pytest.raises(TrainingFailed, match=r"None of 3 trials could be measured.*ZeroDivisionError"):
        tuning(broken, trials=3)


def test_no_trial_starts_after_the_timeout(tuning):
    def slow(**parameters):
        import time

        time.sleep(0.2)
        return build_model(**parameters)

    assert tuning(slow, trials=50, timeout=timedelta(seconds=0.5)).trials < 5


def test_test_days_are_not_used(tuning, flights):
    used = set()

    class RecordingEstimator:
        def __init__(self, **_):
            self.model = build_model()

        def fit(self, rows, target):
            used.update(rows.index)
            self.model.fit(rows, target)
            return self

        def predict_proba(self, rows):
            used.update(rows.index)
            return self.model.predict_proba(rows)

    tuning(RecordingEstimator, trials=1)
    frame = flights(days=24)
    # There are 4 test days and an embargo of one day.
    before_test = frame[frame["_airworthy_day"] < "2013-01-20"]
    assert max(used) < len(before_test)


def test_undated_rows_are_tuned_on_random_groups(flights):
    undated = USE_CASE.model_copy(update={"split": Split(by="entity", minimum_rows=100)})
    frame = flights(days=24)
    job = _job(declared_specification(undated), build_model, frame, "log_loss")
    assert (job.unit, len(job.folds)) == (FOLD, USE_CASE.tuning.folds)
    sizes = job.rows[FOLD].value_counts()
    assert len(sizes) == USE_CASE.tuning.folds
    assert sizes.min() > 0.8 * sizes.max()
    assert run_trial(job, {"by": "hour"}).problem == ""


def test_too_few_days_for_the_folds_are_refused(tuning):
    with pytest.raises(DataError, match="folds of 9 days leave none"):
        tuning(fold_days=9)


def test_two_processes_share_the_trials(tuning, tmp_path, monkeypatch):
    trace = tmp_path / "trace"
    monkeypatch.setenv("TEST_TRACE", str(trace))
    # Processes that an earlier test left waiting do not have the variable.
    get_reusable_executor().shutdown(wait=True)
    result = tuning(workers=2, trials=6)
    process_ids = set(trace.read_text().split())
    assert len(process_ids) == 2
    assert str(os.getpid()) not in process_ids
    assert (result.trials, result.failed) == (6, 0)


def test_a_tuning_continues_after_a_worker_process_died(tuning, ended):
    def kill_process(*, strength=1.0, by="hour"):
        if by == "noise":
            os.kill(os.getpid(), signal.SIGKILL)
        return build_model(strength=strength)

    with pytest.raises(ServiceUnavailable, match="A worker process of the trials died"):
        tuning(kill_process, workers=2)
    before = ended()
    assert tuning(workers=2).trials == 4
    assert before.items() <= ended().items()


def test_a_killed_tuning_continues_without_repeating_trials(
    tuning, mlflow_server, database_url, run_id, tmp_path, ended, children
):
    arguments = [mlflow_server, database_url, run_id, str(tmp_path)]
    killed = subprocess.Popen(
        [sys.executable, "-c", TUNING_PROGRAM, *arguments], cwd=ROOT, env=os.environ | {"TEST_PAUSE": "0.2"}
    )
    try:
        wait_until(lambda: len(ended()) >= 3, 150, "three trials")
    finally:
        killed.kill()
        killed.wait()
    before = ended()
    assert 3 <= len(before) < 8
    assert tuning(trials=8).trials == 8
    assert before.items() <= ended().items()
    assert (len(ended()), children()[1]) == (8, 8)


@pytest.fixture
def cluster(tmp_path):
    """Return the address of a Dask scheduler, and its two workers' processes."""
    port = free_ports(1)[0]
    dask = ["setpriv", "--pdeathsig=TERM", sys.executable, "-m", "dask"]
    address = f"tcp://127.0.0.1:{port}"
    (tmp_path / "hold").touch()
    variables = {
        "PYTHONPATH": str(ROOT),
        "TEST_TRACE": str(tmp_path / "trace"),
        "TEST_HOLD": str(tmp_path / "hold"),
    }
    scheduler = ["scheduler", "--host=127.0.0.1", f"--port={port}", "--no-dashboard"]
    worker = [
        "worker",
        address,
        "--nthreads=1",
        "--no-nanny",
        "--no-dashboard",
        f"--local-directory={tmp_path}",
    ]
    with (tmp_path / "dask.log").open("w") as log:
        processes = [
            subprocess.Popen([*dask, *command], cwd=ROOT, env=os.environ | variables, stdout=log, stderr=log)
            for command in (scheduler, worker, worker)
        ]
    with Client(address, timeout=CLUSTER_TIMEOUT_S, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=CLUSTER_TIMEOUT_S)
    yield address, processes[1:]
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.timeout(900)
def test_a_cluster_loses_no_ended_trial_when_a_worker_is_killed(tuning, tmp_path, ended, children, cluster):
    address, (first, second) = cluster
    trace = tmp_path / "trace"
    hold = tmp_path / "hold"
    with ThreadPoolExecutor(1) as thread:
        tuner = thread.submit(tuning, dask=address, workers=2, trials=8)
        wait_until(lambda: len(ended()) >= 3 or tuner.done(), CLUSTER_TIMEOUT_S, "three trials")
        before = ended()
        process_ids = set(trace.read_text().split())
        first.kill()
        hold.unlink()
        assert tuner.result(CLUSTER_TIMEOUT_S).trials == 8
    assert 3 <= len(before) < 8
    assert process_ids == {str(first.pid), str(second.pid)}
    assert before.items() <= ended().items()
    assert (len(ended()), children()[1]) == (8, 8)


def test_a_cluster_with_other_code_is_refused(tuning, monkeypatch):
    versions = iter(["code of today", *["code of yesterday"] * 9])
    monkeypatch.setattr(executors, "_code", lambda: next(versions))
    cluster = LocalCluster(n_workers=1, processes=False, protocol="tcp://", dashboard_address=None)
    with cluster, pytest.raises(SettingsError, match="has code of yesterday, and this task code of today"):
        tuning(dask=cluster.scheduler_address)


def test_an_unreachable_cluster_is_a_transient_error(tuning, free_port, monkeypatch):
    monkeypatch.setattr(executors, "WORKER_TIMEOUT_S", 1)
    with pytest.raises(ServiceUnavailable, match="does not answer"):
        tuning(dask=f"tcp://127.0.0.1:{free_port}")
