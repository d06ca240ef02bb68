from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from airflow.dag_processing.dagbag import DagBag
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import ParamValidationError

from airworthy.defaults import START
from airworthy.timetables import first_ingestion_date
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
# Airflow is imported once; each file runs in its own fork.
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
# The DAG processor imports these settings when it starts.
PRELOADED = f"""
import json, sys
import airflow_local_settings

declarations = [name for name in sys.modules if name.startswith("include.") and name.split(".")[1] in
    ("datasets", "features", "use_cases") and name.count(".") > 1]
heavy = [name for name in {HEAVY!r} if name in sys.modules]
# The package is imported to read which of its files declare datasets.
needed = ["airworthy.operators.training", "include.catalog", "include.use_cases"]
missing = [name for name in needed if name not in sys.modules]
print("PRELOADED", json.dumps([declarations, heavy, missing]))
"""
TASK_ORDERS = {
    "flights_ingestion": "wait > extract > validate > publish",
    "airport_weather_features": "build > check_leakage > validate > publish > materialise",
    "flight_features_features": "build > check_leakage > validate > publish > materialise",
    "flight_features_materialisation": "materialise",
    "flight_delay_training": "snapshot > train > evaluate > gate > approve > register > announce",
    "delay_band_training": "snapshot > tune > train > evaluate > gate > approve > register > announce",
    "flight_delay_deployment": (
        "begin > stage > shadow > approve > canary_2 > canary_25 > canary_75 > canary_100 > promote > restore"
    ),
    "flight_delay_scoring": "score > check > publish",
    "flight_delay_monitoring": "detect_drift > decide > act",
    "flight_delay_rollback": "roll_back",
    "flight_delay_controls": "control",
    "flight_delay_annotation": "annotate > ingest",
    "service_levels": "check > act",
    "alerts": "send",
    "reproduction": "reproduce",
    "backtest": "backtest",
    "flights_quarantine": "show > release > discard",
}

RUNBOOK = re.compile(r"\]\(airworthy/(docs/runbooks/[a-z-]+\.md)\)")
# What a person fills in, and values that Airflow refuses before a task starts.
FORMS = {
    "flights_ingestion": ({"first": "2013-01-01", "last": "2013-01-31"}, {"first": "1.1.2013", "last": 5}),
    "airport_weather_features": ({"first": "2013-01-01T05"}, {"first": "2013-01-01 05:00"}),
    "flight_delay_deployment": ({"version": 3}, {"version": "three"}),
    "flight_delay_scoring": ({"first": "2013-01-01", "version": 1}, {"version": 0, "last": "yesterday"}),
    "flight_delay_rollback": ({"reason": "wrong answers"}, {"reason": ""}),
    "flight_delay_controls": (
        {"action": "freeze", "reason": "audit"},
        {"action": "stop", "reason": "-", "fallback": "nothing"},
    ),
    "flight_delay_annotation": (
        {"action": "correct", "request": "r", "label": "12", "row": 1, "reason": "wrong"},
        {"action": "guess", "row": 0, "rows": 10_001},
    ),
    "flights_quarantine": ({"action": "release"}, {"action": "free", "rows": "all"}),
    "reproduction": ({"use_case": "flight_delay", "version": 1}, {"use_case": "fligth_delay", "version": -1}),
    "backtest": (
        {"use_case": "flight_delay", "first": "2013-07-01", "last": "2013-07-31"},
        {"use_case": "", "last": "31 July"},
    ),
    "flight_delay_training": (
        {"as_of": "2013-07-01", "experiment": True, "features": ["hour"]},
        {"as_of": "July", "features": ["hours"], "first_day": "2013"},
    ),
}


# Links of each task, and where they lead, are in tests/plugins/airworthy/test_links.py.
MODEL = {"MLflow run", "Model page"}
RELEASE = {"Serving now", "Model page", "Registry version"}
LINKS = {
    "flights_ingestion": {"validate": {"Data docs", "Quarantined rows"}},
    "flight_features_features": {"validate": {"Data docs", "Quarantined rows"}},
    "flights_quarantine": {"show": {"Rejected rows"}},
    "delay_band_training": {
        **dict.fromkeys(("snapshot", "tune", "train", "evaluate", "gate"), MODEL),
        "register": MODEL | {"Registry version", "Model card", "Certificate"},
        "approve": {"Model page"},
        "announce": {"Model page"},
    },
    "flight_delay_deployment": {
        **dict.fromkeys(("begin", "stage", "shadow", "canary_2", "promote", "restore"), RELEASE),
        "approve": {"Model page"},
    },
    "flight_delay_scoring": {"score": {"Model page"}, "check": {"Model page"}},
    "flight_delay_monitoring": {
        "detect_drift": {"Drift report", "Model page"},
        "decide": {"Model page"},
        "act": {"Triggered DAG", "Model page"},
    },
    "flight_delay_rollback": {"roll_back": RELEASE},
    "flight_delay_controls": {"control": RELEASE},
    "flight_delay_annotation": {"annotate": {"Model page"}},
    "reproduction": {"reproduce": MODEL},
    "backtest": {"backtest": {"Backtest"}},
    "maintenance": {"profile": {"Profile"}},
}


@pytest.fixture(scope="session")
def bag():
    return DagBag(DAGS)


@pytest.fixture(scope="session")
def imported():
    """Return the slow modules that each DAG file imports, by the name of the file."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}"}
    ran = subprocess.run(
        [sys.executable, "-c", IMPORTS], cwd=ROOT, capture_output=True, text=True, check=True, env=environment
    )
    lines = [line for line in ran.stdout.splitlines() if line.startswith("IMPORTED ")]
    return dict(json.loads(line.split(maxsplit=1)[1]) for line in lines)


def expected_dags():
    declared = catalog()
    names = {"alerts", "backtest", "maintenance", "reproduction", "service_levels"}
    for dataset in declared.datasets:
        names |= {f"{dataset}_ingestion", f"{dataset}_quarantine"}
    for name, view in declared.feature_views.items():
        names.add(f"{name}_features")
        if view.online:
            names.add(f"{name}_materialisation")
    for use_case in declared.use_cases:
        stages = ("training", "deployment", "scoring", "monitoring", "rollback", "controls", "annotation")
        names |= {f"{use_case}_{stage}" for stage in stages}
    return names


def test_every_declaration_has_its_dags_and_no_other(bag):
    assert bag.import_errors == {}
    assert set(bag.dags) == expected_dags()


def test_dags_document_their_failures(bag):
    assert [dag.dag_id for dag in bag.dags.values() if "If a task fails" not in (dag.doc_md or "")] == []


def test_every_task_in_a_dags_documentation_exists(bag):
    for dag in bag.dags.values():
        advice = [line.split("`")[1] for line in dag.doc_md.splitlines() if line.startswith("- `")]
        task_ids = " ".join(dag.task_ids)
        assert [name for name in advice if name.rstrip("…") not in task_ids] == [], dag.dag_id


def test_dags_say_what_red_means_and_link_to_a_runbook(bag):
    for dag in bag.dags.values():
        assert "(red)" in dag.doc_md, dag.dag_id
        runbooks = RUNBOOK.findall(dag.doc_md)
        assert runbooks, dag.dag_id
        assert [path for path in runbooks if not (ROOT / path).is_file()] == [], dag.dag_id


def test_every_parameter_can_be_filled_in_without_help(bag):
    for dag in bag.dags.values():
        for name, value in dag.params.items():
            param = dag.params.get_param(name)
            where = f"{dag.dag_id}: {name}"
            assert param.description or param.schema["description_md"], where
            assert "type" in param.schema, where
            # Airflow asks for a parameter without a default: it must not be optional at the same time.
            assert (value is None) == ("null" in param.schema["type"]) or not param.has_value, where


@pytest.mark.parametrize("dag_id", FORMS)
def test_form_refuses_wrong_values_before_a_task_starts(bag, dag_id):
    right, wrong = FORMS[dag_id]
    params = bag.dags[dag_id].params
    for name, value in right.items():
        assert params.get_param(name).resolve(value) == value
    for name, value in wrong.items():
        with pytest.raises(ParamValidationError):
            params.get_param(name).resolve(value)


@pytest.mark.parametrize("dag_id", LINKS)
def test_tasks_link_to_their_evidence(bag, dag_id):
    for task_id, names in LINKS[dag_id].items():
        links = bag.dags[dag_id].get_task(task_id).operator_extra_links
        assert {link.name for link in links} == names, task_id


def test_mapped_tasks_have_names(bag):
    for dag in bag.dags.values():
        assert [t.task_id for t in dag.tasks if t.is_mapped and not t.map_index_template] == [], dag.dag_id


def test_ingestion_starts_with_the_first_partition(bag):
    for dataset in catalog().datasets.values():
        dag = bag.dags[f"{dataset.name}_ingestion"]
        expected = START if dataset.whole else first_ingestion_date(dataset)
        assert dag.start_date == expected, dag.dag_id
        assert dag.end_date is None or dag.end_date > dag.start_date


def test_every_dag_has_an_owner_a_description_and_tags(bag):
    for dag in bag.dags.values():
        assert dag.description
        assert len(dag.tags) == 2 or dag.dag_id in {"maintenance", "service_levels"}
        assert dag.owner not in ("", "airflow")


def test_every_task_has_a_retry_policy(bag):
    for dag in bag.dags.values():
        for task in dag.tasks:
            assert task.retries > 0, task
            assert task.retry_policy is not None, task


def test_default_parameters_of_scheduled_dags_are_valid(bag):
    valid = set()
    for dag in bag.dags.values():
        if dag.timetable.can_be_scheduled:
            valid.update(dag.params.validate())
    experiment = {"experiment", "parameters", "features", "first_day"}
    assert valid == {"as_of", "reason", "first", "last", "version"} | experiment


def test_parameters_of_a_dag_are_not_copied_into_its_tasks(bag):
    for dag in bag.dags.values():
        forms = {task.task_id: list(task.params) for task in dag.tasks if task.params}
        # Fields of the form in which a person answers, and not parameters of the DAG.
        questions = [task.task_id for task in dag.tasks if isinstance(task, ApprovalOperator)]
        assert forms == {task_id: ["reason"] for task_id in questions}, dag.dag_id


@pytest.mark.parametrize(("dag_id", "task_order"), TASK_ORDERS.items())
def test_tasks_are_in_order(bag, dag_id, task_order):
    assert " > ".join(task.task_id for task in bag.dags[dag_id].topological_sort()) == task_order


@pytest.mark.parametrize("path", sorted(DAGS.glob("*.py")), ids=lambda path: path.stem)
def test_dag_file_has_at_most_100_lines(path):
    assert len(path.read_text().splitlines()) <= 100


@pytest.mark.parametrize("path", sorted(DAGS.glob("*.py")), ids=lambda path: path.stem)
def test_parsing_imports_nothing_heavy(imported, path):
    assert imported[path.stem] == []


def test_dag_processor_preloads_operators_but_no_declaration():
    path = [ROOT, ROOT / "plugins", ROOT / "include/stack/airflow_config"]
    ran = subprocess.run(
        [sys.executable, "-c", PRELOADED, "dag-processor"],
        cwd=ROOT, capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))},
    )  # fmt: skip
    (line,) = [line for line in ran.stdout.splitlines() if line.startswith("PRELOADED ")]
    assert json.loads(line.split(maxsplit=1)[1]) == [[], [], []]


def test_worker_builds_only_the_dag_of_its_task(monkeypatch):
    from airflow.sdk.definitions.context import Context  # noqa: F401  the parsing context lives beside it

    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "air_time_training")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "train")
    assert set(DagBag(DAGS / "training.py").dags) == {"air_time_training"}
