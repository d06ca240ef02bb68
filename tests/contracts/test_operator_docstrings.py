"""The examples in the docstrings of the operators work in a DAG."""

from __future__ import annotations

import re
from datetime import timedelta
from importlib import import_module
from inspect import getdoc, getmembers, isclass
from pathlib import Path
from pkgutil import iter_modules
from textwrap import dedent

import pytest

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, BaseOperator, XComArg

import airworthy.operators
import airworthy.sensors
from airworthy import assets
from include.declarations import Column

EXAMPLE = re.compile(r"^Example::\n\n((?:[ ]{4}.*\n|\n)+?)(?=\n?:param|\Z)", re.MULTILINE)
EARLIER = (
    "build",
    "extract",
    "validate",
    "snapshot",
    "train",
    "evaluate",
    "score",
    "register",
    "begin",
    "detect",
    "decide",
)
BASES = {
    "ModelOperator",
    "ReleaseOperator",
    "MonitoringOperator",
    "QuarantineOperator",
    "ValidationOperator",
    "MlflowOperator",
}  # they have no task of their own


ROOT = Path(__file__).parents[2]


# For other people's DAGs; `docs/how-to/quality.md` and `docs/how-to/tracking.md` show how.
STAND_ALONE = {"ValidateFrameOperator", "ValidateTableOperator", "ValidateQueryOperator"}
STAND_ALONE |= {"CreateExperimentOperator", "StartRunOperator", "LogToRunOperator", "SearchRunsOperator"}
STAND_ALONE |= {"SearchVersionsOperator", "SetAliasOperator"}


def operators():
    for package in (airworthy.operators, airworthy.sensors):
        for entry in iter_modules(package.__path__, f"{package.__name__}."):
            module = import_module(entry.name)
            for name, kind in getmembers(module, isclass):
                is_defined_here = issubclass(kind, BaseOperator) and kind.__module__ == module.__name__
                if is_defined_here and name not in BASES:
                    yield pytest.param(kind, id=name)


def shown(operator):
    """Return the code of the operator's example, and the tasks that it makes in a DAG."""
    example = EXAMPLE.search(f"{getdoc(operator)}\n")
    assert example, f"{operator.__name__} shows no example"
    namespace = {operator.__name__: operator, "timedelta": timedelta, "Column": Column, "XComArg": XComArg}
    with DAG("an_example", schedule=None) as dag:
        namespace |= {name: EmptyOperator(task_id=f"{name}_before") for name in EARLIER}
        namespace |= {"asset": assets.dataset("flights"), "something": namespace["extract"].output}
        exec(dedent(example[1]).replace("…", "something"), namespace)
    return example[1], [task for task in dag.tasks if isinstance(task, operator)]


@pytest.mark.parametrize("operator", [*operators()])
def test_an_operators_example_is_true(operator):
    example, tasks = shown(operator)
    assert len(tasks) == example.count(f"{operator.__name__}(")
    assert all(f'"{task.task_id}"' in example for task in tasks)


@pytest.mark.parametrize("operator", [*operators()])
def test_whatever_is_templated_is_a_field_of_the_operator(operator):
    for task in shown(operator)[1]:
        assert [name for name in task.template_fields if not hasattr(task, name)] == []


def test_every_operator_is_used_by_a_dag():
    sources = "".join(path.read_text() for path in (ROOT / "dags").glob("*.py"))
    sources += "".join(f"{name}(" for name in STAND_ALONE)
    assert [
        kind.id for kind in operators() if f"{kind.id}(" not in sources and f"{kind.id}." not in sources
    ] == []
