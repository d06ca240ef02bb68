"""A DAG with the MLflow operators, executed and retried with a real server."""

from __future__ import annotations

import json
import uuid

import pytest

from airflow.sdk import DAG

from airworthy.links import MlflowPageLink
from airworthy.operators.experiments import (
    CreateExperimentOperator,
    LogToRunOperator,
    SearchRunsOperator,
    SearchVersionsOperator,
    SetAliasOperator,
    StartRunOperator,
)
from include.errors import SettingsError
from include.modeling.registry.run_keys import SUPERSEDES
from tests.plugins.airworthy.conftest import Run


@pytest.fixture
def name():
    return f"churn_{uuid.uuid4().hex[:8]}"


@pytest.fixture
def execute(registry, context):
    """Return a function that executes the tasks of a DAG in order, with templates and XComs."""
    xcoms = {}

    def execute(dag, *, tries=1, map_index=-1, **run):
        for task in dag.topological_sort():
            ti = Run(task_id=task.task_id, xcoms=xcoms, try_number=tries, map_index=map_index)
            task_context = context(
                {"dag_id": dag.dag_id} | run, ti=ti, task_instance=ti, task=task, ds="2013-07-01"
            )
            task.render_template_fields(task_context)
            ti.xcom_push("return_value", task.execute(task_context))
        return {task_id: value for (task_id, _), value in xcoms.items()}

    return execute


def make_dag(name, path):
    with DAG("growth", schedule=None) as dag:
        experiment = CreateExperimentOperator(task_id="experiment", experiment=name, tags={"team": "growth"})
        begin = StartRunOperator(
            task_id="begin", experiment=name, run_name="{{ ds }}", tags={"kind": "weekly"}
        )
        child = StartRunOperator(task_id="child", experiment=name, parent_run_id=begin.output)
        log = LogToRunOperator(
            task_id="log", run_id=begin.output, parameters={"depth": 3, "day": "{{ ds }}"},
            metrics={"auc": 0.71}, tags={"reviewed": "yes"}, files=[str(path)], status="FINISHED",
        )  # fmt: skip
        search = SearchRunsOperator(task_id="search", experiment=name, query="metrics.auc > 0.7")
        experiment >> begin >> child >> log >> search
    return dag


@pytest.fixture
def page(tmp_path):
    (tmp_path / "page.txt").write_text("hello")
    return tmp_path / "page.txt"


def test_a_retry_finds_the_experiment_and_the_runs(execute, registry, name, page, tmp_path):
    first = execute(make_dag(name, page))
    second = execute(make_dag(name, page), tries=2)
    assert first["begin"] == second["begin"] == second["log"]
    assert len(registry.search_runs(name)) == 2
    (run,) = second["search"]
    assert (run["run_id"], run["status"]) == (second["begin"], "FINISHED")
    assert run["params"] == {"depth": "3", "day": "2013-07-01"}
    assert run["metrics"] == {"auc": 0.71}
    tags = {name.removeprefix("airworthy."): value for name, value in run["tags"].items()}
    assert (tags["dag"], tags["task"], tags["try"], tags["map_index"]) == ("growth", "begin", "2", "-1")
    assert (tags["kind"], tags["reviewed"], tags["mlflow.runName"]) == ("weekly", "yes", "2013-07-01")
    child = registry._client.get_run(second["child"])
    assert child.data.tags["mlflow.parentRunId"] == second["begin"]
    assert registry._client.get_experiment(second["experiment"]).tags["team"] == "growth"
    assert registry.read_file(second["log"], "page.txt") == b"hello"


def test_mapped_and_cleared_tasks_have_their_own_runs(execute, registry, name):
    with DAG("growth", schedule=None) as dag:
        StartRunOperator(task_id="begin", experiment=name)
    first = execute(dag)["begin"]
    mapped = execute(dag, map_index=1)["begin"]
    cleared = execute(dag, clear_number=1)["begin"]
    assert len({first, mapped, cleared}) == 3
    tags = {run: registry._client.get_run(run).data.tags for run in (mapped, cleared)}
    assert SUPERSEDES not in tags[mapped]
    assert tags[cleared][SUPERSEDES] == first


def test_the_link_of_a_task_opens_its_page(execute, registry, name, page):
    dag = make_dag(name, page)
    made = execute(dag)
    links = {task.task_id: MlflowPageLink().get_link(task, ti_key=None) for task in dag.tasks}
    assert links["experiment"] == f"{registry.uri}/#/experiments/{made['experiment']}"
    assert links["begin"] == links["log"]
    assert links["begin"].endswith(f"/runs/{made['begin']}")


def test_setting_and_deleting_an_alias_can_be_repeated(execute, registry, certified):
    model = certified.name
    with DAG("promotion", schedule=None) as dag:
        SetAliasOperator(task_id="promote", model=model, alias="best", version="2")
    with DAG("look", schedule=None) as look:
        SearchVersionsOperator(task_id="versions", model=model)
    for _ in range(2):
        execute(dag)
    versions = execute(look)["versions"]
    # Other tests of this file's models may have made one of them the champion.
    assert {version["version"]: "best" in version["aliases"] for version in versions} == {2: True, 1: False}
    assert versions[0]["tags"]["airworthy.run_id"] == versions[0]["run_id"]
    link = MlflowPageLink().get_link(dag.get_task("promote"), ti_key=None)
    assert link == f"{registry.uri}/#/models/{model}/versions/2"
    with DAG("demotion", schedule=None) as demotion:
        SetAliasOperator(task_id="demote", model=model, alias="best")
    for _ in range(2):
        execute(demotion)
    assert "best" not in execute(look)["versions"][0]["aliases"]


def test_versions_are_filtered_by_a_tag(execute, certified):
    with DAG("look", schedule=None) as look:
        SearchVersionsOperator(
            task_id="versions", model=certified.name, query="tags.`airworthy.digest` = 'none'"
        )
    assert execute(look)["versions"] == []


REFUSED = {
    "filter of runs": lambda model: SearchRunsOperator(task_id="it", experiment=model, query="auc is good"),
    "filter of versions": lambda model: SearchVersionsOperator(task_id="it", model=model, query="good"),
    "model": lambda _: SetAliasOperator(task_id="it", model="unknown", alias="best", version="1"),
    "version": lambda model: SetAliasOperator(task_id="it", model=model, alias="best", version="77"),
    "alias": lambda model: SetAliasOperator(task_id="it", model=model, alias="latest", version="1"),
}


@pytest.mark.parametrize("make_task", REFUSED.values(), ids=REFUSED)
def test_a_request_that_mlflow_refuses_is_not_retried(execute, certified, make_task):
    with DAG("refused", schedule=None) as dag:
        make_task(certified.name)
    with pytest.raises(SettingsError, match="MLflow refuses"):
        execute(dag)


def test_the_operators_work_without_the_airworthy_database(execute, registry, name, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_AIRWORTHY_DB")
    with DAG("external", schedule=None) as dag:
        StartRunOperator(task_id="begin", experiment=name, airworthy_conn_id=None)
    assert execute(dag) == execute(dag, tries=2)
    assert json.dumps(execute(dag))
