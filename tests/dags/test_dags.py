from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow.dag_processing.dagbag import DagBag

from include.catalog import catalog

ROOT = Path(__file__).parents[2]
DAGS = ROOT / "dags"
HEAVY = [
    "pandas",
    "numpy",
    "sklearn",
    "mlflow",
    "great_expectations",
    "evidently",
    "deltalake",
    "pyarrow",
    "feast",
    "boto3",
]
# Airflow is imported once, and each file is run in a fork of its own.
IMPORTS = f"""
import json, os, runpy, sys
from pathlib import Path
from airflow.sdk import DAG, BaseOperator

for path in sorted(Path("dags").glob("*.py")):
    if os.fork() == 0:
        runpy.run_path(str(path))
        heavy = [name for name in {HEAVY!r} if name in sys.modules]
        print("IMPORTED", json.dumps([path.stem, heavy]), flush=True)
        os._exit(0)
    os.wait()
"""
STORIES = {
    "flights_ingestion": "wait > extract > validate > publish",
    "flight_features_features": "build > check_leakage > validate > publish > materialise",
    "flight_features_materialisation": "materialise",
    "flight_delay_training": "snapshot > train > evaluate > gate > approve > register > nominate",
    "delay_band_training": "snapshot > tune > train > evaluate > gate > approve > register > nominate",
    "flight_delay_deployment": (
        "begin > stage > shadow > approve > canary_2 > canary_25 > canary_75 > canary_100 > promote > restore"
    ),
    "flight_delay_scoring": "score > publish",
    "flight_delay_monitoring": "detect_drift > decide > act",
    "flight_delay_rollback": "roll_back",
    "reproduction": "reproduce",
    "backtest": "backtest",
    "flights_quarantine": "show > release > discard",
}


@pytest.fixture(scope="session")
def bag():
    return DagBag(DAGS)


@pytest.fixture(scope="session")
def imported():
    """Return, by DAG file, what it imports that takes long."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}"}
    ran = subprocess.run(
        [sys.executable, "-c", IMPORTS], cwd=ROOT, capture_output=True, text=True, check=True, env=environment
    )
    answers = [line.split(maxsplit=1)[1] for line in ran.stdout.splitlines() if line.startswith("IMPORTED ")]
    return dict(json.loads(answer) for answer in answers)


def expected():
    found = catalog()
    return {
        *(f"{name}_{stage}" for name in found.datasets for stage in ("ingestion", "quarantine")),
        *(f"{name}_features" for name in found.feature_views),
        *(f"{name}_materialisation" for name, view in found.feature_views.items() if view.online),
        *(
            f"{name}_{stage}"
            for name in found.use_cases
            for stage in ("training", "deployment", "scoring", "monitoring", "rollback")
        ),
        "backtest",
        "maintenance",
        "reproduction",
    }


def test_every_declaration_has_its_dags_and_no_other(bag):
    assert bag.import_errors == {}
    assert set(bag.dags) == expected()


def test_every_dag_tells_the_person_on_call_what_red_means(bag):
    assert [dag.dag_id for dag in bag.dags.values() if "If it is red" not in (dag.doc_md or "")] == []


def test_every_task_named_in_a_dags_advice_exists(bag):
    for dag in bag.dags.values():
        advice = [line.split("`")[1] for line in dag.doc_md.splitlines() if line.startswith("- `")]
        known = " ".join(dag.task_ids)
        assert [name for name in advice if name.rstrip("…") not in known] == [], dag.dag_id


def test_every_dag_has_an_owner_a_description_and_tags(bag):
    for dag in bag.dags.values():
        assert dag.description
        assert len(dag.tags) == 2 or dag.dag_id == "maintenance"
        assert dag.owner not in ("", "airflow")


def test_every_task_retries_accidents_only(bag):
    for dag in bag.dags.values():
        for task in dag.tasks:
            assert task.retries > 0, task
            assert task.retry_policy is not None, task


def test_the_default_parameters_of_a_dag_with_a_schedule_are_valid(bag):
    scheduled = [dag for dag in bag.dags.values() if dag.timetable.can_be_scheduled]
    valid = {name for dag in scheduled for name in dag.params.validate()}
    assert valid == {"as_of", "first", "last", "version"}


def test_a_dags_parameters_are_not_copied_into_its_tasks(bag):
    assert [task for dag in bag.dags.values() for task in dag.tasks if task.params] == []


@pytest.mark.parametrize(("dag_id", "story"), STORIES.items())
def test_the_tasks_tell_the_story(bag, dag_id, story):
    assert " > ".join(task.task_id for task in bag.dags[dag_id].topological_sort()) == story


@pytest.mark.parametrize("path", sorted(DAGS.glob("*.py")), ids=lambda path: path.stem)
def test_a_dag_file_fits_in_its_room(path):
    assert len(path.read_text().splitlines()) <= 100


@pytest.mark.parametrize("path", sorted(DAGS.glob("*.py")), ids=lambda path: path.stem)
def test_parsing_imports_nothing_heavy(imported, path):
    assert imported[path.stem] == []


def test_a_worker_builds_only_the_dag_it_runs(monkeypatch):
    from airflow.sdk.definitions.context import Context  # noqa: F401  the parsing context lives beside it

    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "air_time_training")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "train")
    assert set(DagBag(DAGS / "training.py").dags) == {"air_time_training"}
