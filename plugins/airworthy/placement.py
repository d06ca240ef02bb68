"""Placement of tasks: the declared resources as arguments of operators, for the executors that are set up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import conf

if TYPE_CHECKING:
    from include.declarations import Resources

# Airflow's name of the container of a task.
CONTAINER = "base"


def placement(resources: Resources) -> dict[str, Any]:
    """
    Return the arguments of an operator for these resources.

    `queue`, `pool` and `pool_slots` are for every executor; the LocalExecutor ignores a queue. A pod is
    described only where a KubernetesExecutor is set up, whose provider brings the client of Kubernetes.
    """
    arguments: dict[str, Any] = {}
    if resources.queue is not None:
        arguments["queue"] = resources.queue
    if resources.pool is not None:
        arguments |= {"pool": resources.pool, "pool_slots": resources.pool_slots}
    if resources.pod_limits and "Kubernetes" in conf.get("core", "executor", fallback=""):
        arguments["executor_config"] = {"pod_override": _pod(resources.pod_limits)}
    return arguments


def _pod(limits: dict[str, str]) -> Any:
    from kubernetes.client import models

    requirements = models.V1ResourceRequirements(requests=limits, limits=limits)
    container = models.V1Container(name=CONTAINER, resources=requirements)
    return models.V1Pod(spec=models.V1PodSpec(containers=[container]))
