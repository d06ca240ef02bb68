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
]
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


@pytest.mark.parametrize(("dag_id", "story"), STORIES.items())
def test_the_tasks_tell_the_story(bag, dag_id, story):
    assert " > ".join(task.task_id for task in bag.dags[dag_id].topological_sort()) == story


@pytest.mark.parametrize("path", sorted(DAGS.glob("*.py")), ids=lambda path: path.stem)
def test_a_dag_file_fits_in_its_room(path):
    assert len(path.read_text().splitlines()) <= 100


@pytest.mark.parametrize("path", sorted(DAGS.glob("*.py")), ids=lambda path: path.stem)
def test_parsing_imports_nothing_heavy(path):
    code = (
        "import json, runpy, sys\n"
        f"runpy.run_path({str(path)!r})\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}"}
    parsed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert json.loads(parsed.stdout.splitlines()[-1]) == []


def test_a_worker_builds_only_the_dag_it_runs(monkeypatch):
    from airflow.sdk.definitions.context import Context  # noqa: F401  the parsing context lives beside it

    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "air_time_training")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "train")
    assert set(DagBag(DAGS / "training.py").dags) == {"air_time_training"}
