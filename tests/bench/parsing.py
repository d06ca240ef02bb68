"""The cost of a declaration each time that Airflow parses the DAG files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from include.errors import ServiceUnavailable
from tests.bench.figures import Figure
from tests.bench.rig import clone

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.bench.rig import Rig

USE_CASES = 500
TURNS = 3
# As the DAG processor of a stack does it: a fork for every file, with Airflow and those of its modules
# imported that the file names, and of the project what `airflow_local_settings` preloads once per process:
# operators and classes of declarations, no declaration. It is kept out of garbage collections.
PROCESSOR = "dag-processor"
PYTHON_PATH = ("", "plugins", "include/stack/airflow_config")
PROBE = """
import gc, importlib, json, os, time
from pathlib import Path
from airflow.dag_processing.dagbag import DagBag
from airflow.utils.file import iter_airflow_imports

gc.freeze()

def parse(path):
    for module in iter_airflow_imports(str(path)):
        importlib.import_module(module)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        began = time.process_time()
        bag = DagBag(str(path))
        taken = 1000 * (time.process_time() - began)
        tasks = [len(dag.tasks) for dag in bag.dags.values()]
        with os.fdopen(writer, "w") as answer:
            json.dump([path.name, taken, tasks, [*bag.import_errors.values()]], answer)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        found = json.loads(answer.read())
    os.waitpid(child, 0)
    return found

print("PARSED", json.dumps([parse(path) for path in sorted(Path("dags").glob("*.py"))]))
"""
BARE = """
from airflow.sdk import DAG, BaseOperator

for number, tasks in enumerate({tasks}):
    with DAG(f"{name}_{{number}}") as dag:
        for task in range(tasks):
            BaseOperator(task_id=f"task_{{task}}")
    globals()[dag.dag_id] = dag
"""


class Parsed(NamedTuple):
    """One file: milliseconds of CPU time, and how many tasks each of its DAGs has."""

    file: str
    taken: float
    tasks: list[int]


class Costs(NamedTuple):
    """CPU time in ms: of the project's DAG files, and of as many bare DAGs and tasks."""

    project: float
    bare: float
    how: str


def parse_ms_per_use_case(rig: Rig) -> Figure:
    """Return the CPU time of the DAG files with 500 use cases, divided by 500."""
    costs = _measure(rig)
    return Figure("parse_ms_per_use_case", costs.project / USE_CASES, "ms", "", costs.how)


def parse_vs_bare_airflow_ratio(rig: Rig) -> Figure:
    """Return the same CPU time over that of as many bare DAGs and tasks."""
    costs = _measure(rig)
    milliseconds = f"parse_ms_per_use_case is {costs.project / USE_CASES:.2f}"
    return Figure(
        "parse_vs_bare_airflow_ratio",
        costs.project / costs.bare,
        "ratio",
        "at most 1.5",
        f"{milliseconds}; {costs.how}",
    )


@cache
def _measure(rig: Rig) -> Costs:
    """Parse the DAG files with 500 use cases, each file in a fresh fork, in turns with as many bare DAGs."""
    project = clone(rig.folder / "parsed", [f"generated_{number:03d}" for number in range(USE_CASES)])
    # This leaves the compiled modules behind, as it does once in production.
    first = _parse(project, rig)
    bare = _bare(rig.folder / "bare", first)
    pairs = [(_total(_parse(project, rig)), _total(_parse(bare, rig))) for _ in range(TURNS)]
    # Of the pair with the median ratio: both of its sides were measured one after the other.
    total, floor = sorted(pairs, key=lambda pair: pair[0] / pair[1])[TURNS // 2]
    dags = sum(len(file.tasks) for file in first)
    tasks = sum(sum(file.tasks) for file in first)
    return Costs(
        total,
        floor,
        f"CPU time for all files of dags/ with {USE_CASES} generated use cases ({dags} DAGs, {tasks} tasks), "
        f"each file in its own fork of a process like the DAG processor: {total:.0f} ms, median of {TURNS}; "
        f"as many bare DAGs and tasks, without schedule, default arguments or edge: {floor:.0f} ms",
    )


def _bare(folder: Path, parsed: Sequence[Parsed]) -> Path:
    """Write files with as many DAGs and tasks as were parsed, and nothing else in them."""
    (folder / "dags").mkdir(parents=True)
    for file in parsed:
        name = file.file.removesuffix(".py")
        (folder / "dags" / file.file).write_text(BARE.format(tasks=file.tasks, name=name))
    return folder


def _total(parsed: Sequence[Parsed]) -> float:
    return sum(file.taken for file in parsed)


def _parse(project: Path, rig: Rig) -> list[Parsed]:
    variables = os.environ | {
        "AIRFLOW_HOME": str(rig.folder / "parsed-airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
        "AIRFLOW__CORE__PLUGINS_FOLDER": f"{project}/plugins",
        "AIRWORTHY_HOME": str(rig.folder / "parsed-home"),
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPATH": os.pathsep.join(str(project / folder) for folder in PYTHON_PATH),
    }
    process = subprocess.run(
        [sys.executable, "-c", PROBE, PROCESSOR],
        cwd=str(project), env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [line for line in process.stdout.splitlines() if line.startswith("PARSED ")]
    if process.returncode or not lines:
        raise ServiceUnavailable(f"The DAG files could not be parsed:\n{process.stderr[-3000:]}")
    files = json.loads(lines[0].removeprefix("PARSED "))
    for _, _, _, import_errors in files:
        if import_errors:
            raise ServiceUnavailable(f"A DAG file has an import error:\n{import_errors[0][-3000:]}")
    return [Parsed(file, taken, tasks) for file, taken, tasks, _ in files]
