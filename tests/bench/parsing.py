"""What a declaration costs each time that Airflow reads the DAG files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from include.errors import ServiceUnavailable
from tests.bench.figures import Figure
from tests.bench.rig import clone

if TYPE_CHECKING:
    from tests.bench.rig import Rig

USE_CASES = 100
TURNS = 3
# Airflow's processor forks for every file, with Airflow imported and nothing of the project.
PROBE = """
import json, os, sys, time
from pathlib import Path
from airflow.dag_processing.dagbag import DagBag

def parse(path):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        began = time.perf_counter()
        bag = DagBag(str(path))
        taken = 1000 * (time.perf_counter() - began)
        os.write(writer, json.dumps([taken, len(bag.dags), [*bag.import_errors.values()]]).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        found = json.loads(answer.read())
    os.waitpid(child, 0)
    return found

found = [parse(path) for path in sorted(Path("dags").glob("*.py"))]
print("PARSED", json.dumps(found))
"""


def parse_ms_per_use_case(rig: Rig) -> Figure:
    """Parse the DAG files with a hundred use cases, each file in a fresh fork as Airflow does it."""
    names = [f"generated_{number:03d}" for number in range(USE_CASES)]
    project = clone(rig.folder / "parsed", names)
    turns = sorted(_parse(project, rig) for _ in range(TURNS))
    total, dags = turns[len(turns) // 2]
    return Figure(
        "parse_ms_per_use_case",
        total / USE_CASES,
        "ms",
        "",
        f"all files of dags/ parsed with {USE_CASES} generated use cases ({dags} DAGs), each file in its "
        f"own fork: {total:.0f} ms, median of {TURNS}, divided by {USE_CASES}",
    )


def _parse(project: object, rig: Rig) -> tuple[float, int]:
    variables = os.environ | {
        "AIRFLOW_HOME": str(rig.folder / "parsed-airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__PLUGINS_FOLDER": f"{project}/plugins",
        "AIRWORTHY_HOME": str(rig.folder / "parsed-home"),
        "PYTHONPATH": os.pathsep.join((str(project), f"{project}/plugins")),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        cwd=str(project), env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("PARSED ")]
    if done.returncode or not lines:
        raise ServiceUnavailable(f"The DAG files could not be parsed:\n{done.stderr[-3000:]}")
    found = json.loads(lines[0].removeprefix("PARSED "))
    problems = [problem for _, _, errors in found for problem in errors]
    if problems:
        raise ServiceUnavailable(f"A DAG file has an import error:\n{problems[0][-3000:]}")
    return sum(taken for taken, _, _ in found), sum(dags for _, dags, _ in found)
