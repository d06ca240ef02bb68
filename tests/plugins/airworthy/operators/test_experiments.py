"""A stranger's DAG with MLflow in it, its tasks run and tried again as Airflow does, on a real server."""

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
def play(registry, context):
    """Return a way to run the tasks of a DAG in order, with their templates and XComs."""
    xcoms = {}

    def play(dag, *, tries=1, map_index=-1, **run):
        for task in dag.topological_sort():
            ti = Run(task_id=task.task_id, xcoms=xcoms, try_number=tries, map_index=map_index)
            given = context({"dag_id": dag.dag_id} | run, ti=ti, task_instance=ti, task=task, ds="2013-07-01")
            task.render_template_fields(given)
            ti.xcom_push("return_value", task.execute(given))
        return {task_id: value for (task_id, _), value in xcoms.items()}

    return play


def a_dag(name, path):
    with DAG("growth", schedule=None) as dag:
        experiment = CreateExperimentOperator(task_id="experiment", experiment=name, tags={"team": "growth"})
        begin = StartRunOperator(
            task_id="begin", experiment=name, run_name="{{ ds }}", tags={"kind": "weekly"}
        )
        child = StartRunOperator(task_id="child", experiment=name, parent_run_id=begin.output)
        log = LogToRunOperator(
            task_id="log", run_id=begin.output, parameters={"depth": 3, "day": "{{ ds }}"},
            metrics={"auc": 0.71}, tags={"seen": "yes"}, files=[str(path)], status="FINISHED",
        )  # fmt: skip
        found = SearchRunsOperator(task_id="found", experiment=name, query="metrics.auc > 0.7")
        experiment >> begin >> child >> log >> found
    return dag


@pytest.fixture
def page(tmp_path):
    (tmp_path / "page.txt").write_text("hello")
    return tmp_path / "page.txt"


def test_tried_twice_there_is_one_experiment_and_one_run_of_each_task(play, registry, name, page, tmp_path):
    first = play(a_dag(name, page))
    second = play(a_dag(name, page), tries=2)
    assert first["begin"] == second["begin"] == second["log"]
    assert len(registry.search_runs(name)) == 2
    (found,) = second["found"]
    assert (found["run_id"], found["status"]) == (second["begin"], "FINISHED")
    assert found["params"] == {"depth": "3", "day": "2013-07-01"}
    assert found["metrics"] == {"auc": 0.71}
    tags = {name.removeprefix("airworthy."): value for name, value in found["tags"].items()}
    assert (tags["dag"], tags["task"], tags["try"], tags["map_index"]) == ("growth", "begin", "2", "-1")
    assert (tags["kind"], tags["seen"], tags["mlflow.runName"]) == ("weekly", "yes", "2013-07-01")
    child = registry._client.get_run(second["child"])
    assert child.data.tags["mlflow.parentRunId"] == second["begin"]
    assert registry._client.get_experiment(second["experiment"]).tags["team"] == "growth"
    assert registry.fetch_file(second["log"], "page.txt", tmp_path / "back").read_text() == "hello"


def test_a_mapped_task_and_a_cleared_one_have_runs_of_their_own(play, registry, name):
    with DAG("growth", schedule=None) as dag:
        StartRunOperator(task_id="begin", experiment=name)
    first, mapped = play(dag)["begin"], play(dag, map_index=1)["begin"]
    cleared = play(dag, clear_number=1)["begin"]
    assert len({first, mapped, cleared}) == 3
    tags = {run: registry._client.get_run(run).data.tags for run in (mapped, cleared)}
    assert SUPERSEDES not in tags[mapped]
    assert tags[cleared][SUPERSEDES] == first


def test_the_link_leads_to_what_the_task_was_about(play, registry, name, page):
    dag = a_dag(name, page)
    made = play(dag)
    links = {task.task_id: MlflowPageLink().get_link(task, ti_key=None) for task in dag.tasks}
    assert links["experiment"] == f"{registry.uri}/#/experiments/{made['experiment']}"
    assert links["begin"] == links["log"]
    assert links["begin"].endswith(f"/runs/{made['begin']}")


def test_versions_are_found_and_aliases_moved_as_often_as_one_likes(play, registry, certified):
    model = certified.name
    with DAG("promotion", schedule=None) as dag:
        SetAliasOperator(task_id="promote", model=model, alias="best", version="2")
    with DAG("look", schedule=None) as look:
        SearchVersionsOperator(task_id="versions", model=model)
    for _ in range(2):
        play(dag)
    found = play(look)["versions"]
    assert [(one["version"], one["aliases"]) for one in found] == [(2, ["best"]), (1, [])]
    assert found[0]["tags"]["airworthy.run_id"] == found[0]["run_id"]
    link = MlflowPageLink().get_link(dag.get_task("promote"), ti_key=None)
    assert link == f"{registry.uri}/#/models/{model}/versions/2"
    with DAG("demotion", schedule=None) as away:
        SetAliasOperator(task_id="demote", model=model, alias="best")
    for _ in range(2):
        play(away)
    assert play(look)["versions"][0]["aliases"] == []


def test_a_filter_finds_the_versions_with_a_tag(play, certified):
    with DAG("look", schedule=None) as look:
        SearchVersionsOperator(
            task_id="versions", model=certified.name, query="tags.`airworthy.digest` = 'none'"
        )
    assert play(look)["versions"] == []


WRONG = {
    "filter of runs": lambda model: SearchRunsOperator(task_id="it", experiment=model, query="auc is good"),
    "filter of versions": lambda model: SearchVersionsOperator(task_id="it", model=model, query="good"),
    "model": lambda _: SetAliasOperator(task_id="it", model="nobodys", alias="best", version="1"),
    "version": lambda model: SetAliasOperator(task_id="it", model=model, alias="best", version="77"),
    "alias": lambda model: SetAliasOperator(task_id="it", model=model, alias="latest", version="1"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_mlflow_will_never_do_is_not_retried(play, certified, wrong):
    with DAG("wrong", schedule=None) as dag:
        wrong(certified.name)
    with pytest.raises(SettingsError, match="MLflow refuses"):
        play(dag)


def test_without_our_database_it_works_too(play, registry, name, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_AIRWORTHY_DB")
    with DAG("elsewhere", schedule=None) as dag:
        StartRunOperator(task_id="begin", experiment=name, airworthy_conn_id=None)
    assert play(dag) == play(dag, tries=2)
    assert json.dumps(play(dag))
