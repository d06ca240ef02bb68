"""The dashboards of Grafana: their queries are valid, and of metrics and rules that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[3]
DASHBOARDS = sorted((REPOSITORY / "docker" / "grafana" / "provisioning" / "dashboards").glob("*.json"))
RULES = (REPOSITORY / "docker" / "prometheus" / "alerts.yml").read_text()
PROMTOOL = shutil.which("promtool")
METRIC = re.compile(r"\bairworthy_\w+")
SUFFIX = re.compile(r"_(total|bucket|sum|count)$")


def read_panels(path: Path) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = json.loads(path.read_text())["panels"]
    return panels


def read_queries(path: Path) -> list[str]:
    queries: list[str] = []
    for panel in read_panels(path):
        queries += [target["expr"] for target in panel["targets"]]
    return queries


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_dashboard_has_panels_that_do_not_overlap(path):
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in read_panels(path)]
    identifiers = [panel["id"] for panel in read_panels(path)]
    assert len(set(places)) == len(set(identifiers)) == len(places) > 0


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_metrics_of_a_dashboard_exist(path):
    code = "".join(file.read_text() for file in (REPOSITORY / "include" / "serving").rglob("*.py"))
    for query in read_queries(path):
        for metric in METRIC.findall(query):
            assert SUFFIX.sub("", metric) in code, metric
        for rule in re.findall(r"airworthy:[\w:]+", query):
            assert f"record: {rule}\n" in RULES, rule


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is missing: apt-get install prometheus")
@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_queries_of_a_dashboard_are_valid(path, tmp_path):
    queries = [query.replace("$__rate_interval", "5m") for query in read_queries(path)]
    rules = [{"record": f"query_{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    process = subprocess.run([PROMTOOL, "check", "rules", file], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
