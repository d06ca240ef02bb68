"""The import contracts of pyproject.toml fail where a module imports upwards or in a circle."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECK = Path(sys.executable).with_name("lint-imports")
PLANTS = {
    "upward import between rooms": ("include/data/quality_gate.py", "include.modeling.lineage", "floors"),
    "upward import inside modeling": (
        "include/modeling/registry/artifacts.py",
        "include.modeling.tuning.search",
        "modeling's floors",
    ),
    "circle inside a room": (
        "include/data/lake/commits.py",
        "include.data.lake.delta_tables",
        "no circles",
    ),
    "serving imports data": ("include/serving/paths.py", "include.data.lake.commits", "serving stays small"),
    "inference imports mlflow": ("include/inference/formats.py", "mlflow", "serving stays small"),
    "core imports Airflow": ("include/partitions.py", "airflow", "include knows nothing of Airflow"),
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of the source tree that a test may change."""
    for folder in ("include", "plugins"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def check_imports(project: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{project}:{project / 'plugins'}"}
    return subprocess.run(
        [str(CHECK), "--no-cache"], cwd=project, env=environment, capture_output=True, text=True, check=False
    )


def test_import_contracts_unchanged_tree_passes(project):
    result = check_imports(project)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(("module", "imported", "contract"), PLANTS.values(), ids=PLANTS)
def test_import_contracts_planted_import_fails(project, module, imported, contract):
    path = project / module
    source = path.read_text()
    future = "from __future__ import annotations\n"
    path.write_text(source.replace(future, f"{future}\nimport {imported}\n", 1))
    result = check_imports(project)
    assert result.returncode != 0
    assert f"{contract} BROKEN" in result.stdout
