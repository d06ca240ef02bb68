"""Declarations that appear and change while the stack runs: no process is started again for them."""

from __future__ import annotations

import pytest

from include.data.lake.delta_tables import Lake
from tests.conftest import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]

NAME = "tide_marks"
INGESTION = f"{NAME}_ingestion"
TIMEOUT_S = 240
DECLARATION = """
from datetime import date

from include.declarations import Column, Dataset, FileSource

DATASET = Dataset(
    name="tide_marks", owner="harbour", description="Marks of the tide.", key=("id",),
    source=FileSource(path="{folder}/{{partition}}.csv"), first_partition=date(2013, 7, 1),
    columns=(Column(name="id", dtype="string"), Column(name="level", dtype="number", maximum={maximum})),
)
"""


@pytest.fixture(scope="module")
def declare(stack, project):
    """Return a function that writes the declaration, which is removed at the end."""
    file = project / "include" / "datasets" / f"{NAME}.py"

    def write(folder, maximum):
        draft = file.with_suffix(".draft")
        draft.write_text(DECLARATION.format(folder=folder, maximum=maximum))
        draft.replace(file)

    yield write
    file.unlink(missing_ok=True)


@pytest.fixture
def land(stack):
    def write(path, level):
        file = stack.root / "landing" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".draft")
        draft.write_text(f"id,level\na,{level}\n")
        draft.replace(file)

    return write


def state_of_wait(airflow, run):
    return next(
        (task["state"] for task in airflow.task_instances(INGESTION, run) if task["task_id"] == "wait"), None
    )


def start(airflow, day):
    """Trigger the ingestion of a day whose file has not landed, and wait until the triggerer waits for it."""
    run = airflow.trigger(INGESTION, {"first": day})
    wait_until(lambda: state_of_wait(airflow, run) == "deferred", TIMEOUT_S, f"the sensor of {day}")
    return run


@pytest.fixture(scope="module")
def appeared(declare, airflow):
    """Declare the dataset, and wait for its DAG."""
    declare("marks", 10)
    wait_until(lambda: INGESTION in {dag["dag_id"] for dag in airflow.dags()}, TIMEOUT_S, "the new DAG")


def test_new_dataset_waits_in_the_triggerer_and_is_published(appeared, airflow, land, stack):
    run = start(airflow, "2013-07-01")
    land("marks/2013-07-01.csv", 8)
    assert airflow.wait(INGESTION, run, TIMEOUT_S) == "success"
    assert Lake(stack.lake_uri).read(NAME)["level"].tolist() == [8.0]


def test_waiting_trigger_and_next_tasks_see_a_changed_dataset(appeared, airflow, declare, land, stack):
    run = start(airflow, "2013-07-02")
    # The triggerer looks at the new path, and the gate knows the new bound.
    declare("corrected", 5)
    land("corrected/2013-07-02.csv", 8)
    assert airflow.wait(INGESTION, run, TIMEOUT_S) == "failed"
    states = {task["task_id"]: task["state"] for task in airflow.task_instances(INGESTION, run)}
    assert (states["wait"], states["validate"]) == ("success", "failed")
    assert "level" in airflow.log(INGESTION, run, "validate")
    assert len(Lake(stack.lake_uri).days(NAME)) == 1
