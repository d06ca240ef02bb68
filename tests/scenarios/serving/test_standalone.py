"""A model server on its own: what the image `model_server` has must be enough."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.small_models import ROW

if TYPE_CHECKING:
    from collections.abc import Iterable

REPOSITORY = Path(__file__).parents[3]
# Modules of other packages cannot be imported, as if they were not installed.
PROGRAM = """
import sys

absent = set(sys.argv.pop(1).split(","))

class Refusal:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"{name} is not among the requirements", name=name)

sys.meta_path.insert(0, Refusal())
from include.serving.model_server.__main__ import main
sys.exit(main())
"""


def requirements_in(file: Path) -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in file.read_text().splitlines())
    return [Requirement(line) for line in lines if line]


def with_dependencies(requirements: Iterable[Requirement]) -> set[str]:
    """Return the distributions that installing these requirements brings along."""
    visited: set[tuple[str, str]] = set()
    waiting = list(requirements)
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras}:
            if (name, extra) not in visited:
                visited.add((name, extra))
                waiting += [
                    needed
                    for needed in map(Requirement, metadata.requires(name) or ())
                    if needed.marker is None or needed.marker.evaluate({"extra": extra})
                ]
    return {name for name, _ in visited}


@pytest.fixture
def absent_modules() -> list[str]:
    installed = with_dependencies(requirements_in(REPOSITORY / "docker" / "model_server.in"))
    providers = metadata.packages_distributions()
    return [name for name, by in providers.items() if not installed & set(map(canonicalize_name, by))]


def test_a_package_is_served_without_anything_else(
    home, make_model, absent_modules, free_port, wait_for, tmp_path
) -> None:
    folder = make_model("delay", 1, answer=0.25)
    variables = {name: value for name, value in os.environ.items() if name != "AIRWORTHY_DATABASE_URL"}
    command = [
        sys.executable, "-c", PROGRAM, ",".join(absent_modules), "--use-case", "delay", "--version", "1",
        "--folder", str(folder), "--port", str(free_port),
    ]  # fmt: skip
    log = tmp_path / "log"
    with log.open("w") as output:
        server = subprocess.Popen(command, env=variables, cwd=REPOSITORY, stdout=output, stderr=output)
    try:
        url = f"http://127.0.0.1:{free_port}"
        wait_for(lambda: is_ready(f"{url}/ping") or server.poll() is not None, 60, log.read_text)
        assert server.poll() is None, log.read_text()
        body = {"dataframe_records": [ROW]}
        answer = httpx.post(f"{url}/invocations", json=body)
        explanations = f"{url}/models/delay/explanations"
        # The process that explains takes seconds to start.
        wait_for(lambda: httpx.post(explanations, json=body, timeout=60).is_success, 300, log.read_text)
    finally:
        server.terminate()
        server.wait(20)
    assert (answer.status_code, answer.json()["predictions"]) == (200, [0.25])
    assert "not among the requirements" not in log.read_text()


def is_ready(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("name", ["mlflow", "airflow", "boto3", "evidently"])
def test_the_requirements_are_small(absent_modules, name: str) -> None:
    assert name in absent_modules
