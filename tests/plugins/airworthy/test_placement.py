from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from airworthy.placement import placement
from dags.scoring import scoring_dag
from dags.training import training_dag
from include.declarations import Resources
from include.use_cases.delay_band import USE_CASE

RESOURCES = Resources(cpu=4, memory_mb=8_000, gpu=1, queue="gpu", pool="training", pool_slots=2)
PLACED = ("tune", "train", "evaluate", "register")


@pytest.fixture
def executor(monkeypatch):
    """Return a function that sets the executor, with a stand-in for the client of Kubernetes."""
    models = ModuleType("kubernetes.client.models")
    for name in ("V1Pod", "V1PodSpec", "V1Container", "V1ResourceRequirements"):
        setattr(models, name, SimpleNamespace)
    client = ModuleType("kubernetes.client")
    client.models = models
    for module in (ModuleType("kubernetes"), client, models):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return lambda name: monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", name)


def tasks_of(dag):
    return {task.task_id: task for task in dag.tasks}


def test_kubernetes_gets_a_pod_with_the_limits(executor):
    executor("KubernetesExecutor")
    dag = training_dag(USE_CASE.model_copy(update={"resources": RESOURCES}))
    for name in PLACED:
        (container,) = tasks_of(dag)[name].executor_config["pod_override"].spec.containers
        assert container.name == "base"
        limits = {"cpu": "4000m", "memory": "8000M", "nvidia.com/gpu": "1"}
        assert (container.resources.limits, container.resources.requests) == (limits, limits)
    assert tasks_of(dag)["gate"].executor_config == {}


@pytest.mark.parametrize("name", ["CeleryExecutor", "LocalExecutor"])
def test_other_executors_get_queue_and_pool_only(executor, name):
    executor(name)
    use_case = USE_CASE.model_copy(update={"resources": RESOURCES})
    tasks = tasks_of(training_dag(use_case)) | tasks_of(scoring_dag(use_case))
    for task_id in (*PLACED, "score"):
        task = tasks[task_id]
        assert (task.queue, task.pool, task.pool_slots) == ("gpu", "training", 2)
        assert task.executor_config == {}
    assert (tasks["gate"].queue, tasks["snapshot"].pool) == ("default", "default_pool")


def test_without_resources_nothing_is_set(executor):
    executor("KubernetesExecutor")
    assert placement(Resources()) == {}
    assert placement(Resources(queue="big")) == {"queue": "big"}
