"""Declarations that appear and change while the stack runs: no process is started again for them."""

from __future__ import annotations

import httpx
import pytest

from include.data.lake.delta_tables import Lake
from tests.conftest import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]

NAME = "tide_marks"
INGESTION = f"{NAME}_ingestion"
VIEW = "tide_levels"
FEATURES = f"{VIEW}_features"
TIMEOUT_S = 240
DATASET = """
from datetime import date

from include.declarations import Column, Dataset, FileSource

DATASET = Dataset(
    name="tide_marks", owner="harbour", description="Marks of the tide.", key=("id",), known_from="start",
    source=FileSource(path="{folder}/{{partition}}.csv"), first_partition=date(2013, 7, 1),
    columns=(
        Column(name="id", dtype="string"), Column(name="at", dtype="timestamp"),
        Column(name="level", dtype="number", maximum={maximum}),
    ),
)
"""
FEATURE_VIEW = """
from include.declarations import Column, FeatureView, Online, ViewSource

FEATURE_VIEW = FeatureView(
    name="tide_levels", owner="harbour", description="Levels of the tide.", entity="id", time="at",
    known_from="start", sources=(ViewSource(dataset="tide_marks"),), online=Online(),
    columns=(
        Column(name="id", dtype="string"), Column(name="at", dtype="timestamp"),
        Column(name="{column}", dtype="number"),
    ),
)

def build(frames, day):
    return frames["tide_marks"].assign({column}=lambda rows: rows["level"] * {factor})
"""


@pytest.fixture(scope="module")
def declare(stack, project):
    """Return a function that writes a declaration; all are removed at the end, those of views first."""
    files = [project / "include" / "features" / f"{VIEW}.py", project / "include" / "datasets" / f"{NAME}.py"]
    view, dataset = files

    def write(file, text):
        draft = file.with_suffix(".draft")
        draft.write_text(text)
        draft.replace(file)

    def declare_file(folder="", maximum=0, *, column="", factor=1):
        if folder:
            write(dataset, DATASET.format(folder=folder, maximum=maximum))
        if column:
            write(view, FEATURE_VIEW.format(column=column, factor=factor))

    yield declare_file
    for file in files:
        file.unlink(missing_ok=True)


@pytest.fixture
def land(stack):
    def write(path, level):
        file = stack.root / "landing" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".draft")
        draft.write_text(f"id,at,level\na,{file.stem}T06:00:00Z,{level}\n")
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
    """Declare the dataset and a view of it, and wait for their DAGs."""
    declare("marks", 10, column="level")
    wait_until(
        lambda: {INGESTION, FEATURES} <= {dag["dag_id"] for dag in airflow.dags()}, TIMEOUT_S, "the new DAGs"
    )


@pytest.fixture
def look_up(stack):
    """Return a function that reads a feature from the feature server; None while it is unknown."""

    def read(column):
        query = {"features": [f"{VIEW}:{column}"], "entities": {f"{VIEW}.id": ["a"]}}
        response = httpx.post(f"{stack.features_uri}/get-online-features", json=query, timeout=30)
        if response.status_code != httpx.codes.OK:
            return None
        content = response.json()
        names = content["metadata"]["feature_names"]
        return content["results"][names.index(column)]["values"][0]

    return read


def test_new_dataset_waits_in_the_triggerer_and_is_published(appeared, airflow, land, stack):
    run = start(airflow, "2013-07-01")
    land("marks/2013-07-01.csv", 8)
    assert airflow.wait(INGESTION, run, TIMEOUT_S) == "success"
    assert Lake(stack.lake_uri).read(NAME)["level"].tolist() == [8.0]


def test_new_view_is_built_and_looked_up_online(appeared, airflow, look_up):
    wait_until(lambda: airflow.runs(FEATURES), TIMEOUT_S, "the run of the view")
    assert airflow.wait(FEATURES, airflow.runs(FEATURES)[0]["dag_run_id"], TIMEOUT_S) == "success"
    wait_until(lambda: look_up("level") == 8.0, TIMEOUT_S, "the feature server to have the new view")


def test_changed_view_is_built_and_looked_up_online(appeared, airflow, declare, look_up, stack):
    declare(column="centimetres", factor=100)
    run = airflow.trigger(FEATURES, {"first": "2013-07-01"})
    assert airflow.wait(FEATURES, run, TIMEOUT_S) == "success"
    assert Lake(stack.lake_uri).read(VIEW)["centimetres"].tolist() == [800.0]
    wait_until(lambda: look_up("centimetres") == 800.0, TIMEOUT_S, "the feature server to have the column")


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
