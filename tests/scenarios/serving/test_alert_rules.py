"""The alert rules of docker/prometheus, played by promtool: each fires at its fault, and none without one."""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[3]
RULES = REPOSITORY / "docker" / "prometheus" / "alerts.yml"
PROMTOOL = shutil.which("promtool")
REQUESTS = 'airworthy_gateway_requests_total{use_case="delay", endpoint="invocations", status="%s"}'
SECONDS = 'airworthy_gateway_request_seconds_bucket{use_case="delay", le="%s"}'
MEMORY = 'process_resident_memory_bytes{use_case="delay", version="2", replica="1"}'
# The values of each minute; `a+bx400` begins with a and grows by b, 400 times.
QUIET = {
    REQUESTS % 200: "0+600x400",
    REQUESTS % 500: "0+0.1x400",
    REQUESTS % 400: "0+500x400",
    SECONDS % "0.1": "0+599x400",
    SECONDS % "0.25": "0+600x400",
    SECONDS % "+Inf": "0+600x400",
    'airworthy_slo_availability{use_case="delay"}': "0.999x400",
    'airworthy_slo_latency_seconds{use_case="delay"}': "0.25x400",
    'up{job="models"}': "1x400",
    'airworthy_model_server_up{use_case="delay", version="2", replica="1"}': "1x400",
    'airworthy_monitoring_silent_seconds{use_case="delay"}': "0x400",
    MEMORY: "400000000+100000x400",
    "airworthy_gateway_log_read_timestamp_seconds": "0+60x400",
    "airworthy_gateway_log_lines_dropped": "3x400",
    'airworthy_log_records_lost_total{log="access", reason="memory_full"}': "0x400",
    'airworthy_log_database_away{log="access"}': "0x400",
}
FAULTS = {
    "ErrorBudgetBurnsFast": {REQUESTS % 500: "0+12x400"},
    "ErrorBudgetBurns": {REQUESTS % 500: "0+4x400"},
    "ErrorBudgetBurnsSlowly": {REQUESTS % 500: "0+0.9x400"},
    "ResponsesAreSlow": {
        SECONDS % "0.1": "0+300x400",
        SECONDS % "0.25": "0+300x400",
        SECONDS % "0.5": "0+600x400",
    },
    "GatewayIsAway": {'up{job="models"}': "1x380 0x20"},
    "ModelServerIsAway": {'airworthy_model_server_up{use_case="delay", version="2", replica="1"}': "0x400"},
    "MonitoringHasStopped": {'airworthy_monitoring_silent_seconds{use_case="delay"}': "0x380 90000x20"},
    "ModelServerMemoryGrows": {MEMORY: "400000000+2000000x400"},
    "AccessLogIsNotRead": {"airworthy_gateway_log_read_timestamp_seconds": "0+60x380 22800x20"},
    "LogsAreLost": {'airworthy_log_records_lost_total{log="access", reason="memory_full"}': "0x395 7x5"},
    "DatabaseTakesNoLogs": {'airworthy_log_database_away{log="access"}': "0x390 1x10"},
}
# A faster burn is also a slower one.
ALSO_FIRING = {
    "ErrorBudgetBurnsFast": {"ErrorBudgetBurns", "ErrorBudgetBurnsSlowly"},
    "ErrorBudgetBurns": {"ErrorBudgetBurnsSlowly"},
}
# Three failures of four requests are no share to wake anybody for.
FEW_REQUESTS = {REQUESTS % 200: "0x399 1", REQUESTS % 500: "0x399 3"}
# Two of 120 requests of the last hour failed by chance, one of them just now.
FEW_FAILURES = {REQUESTS % 200: "0x340 0+2x60", REQUESTS % 500: "0x350 1x46 2x4"}

pytestmark = pytest.mark.skipif(PROMTOOL is None, reason="promtool is missing: apt-get install prometheus")


def read_rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return list(chain.from_iterable(group["rules"] for group in groups))


def alert_names() -> list[str]:
    return [rule["alert"] for rule in read_rules() if "alert" in rule]


def find_firing(series: dict[str, str], folder: Path) -> set[str]:
    """Return the alerts that fire at minute 400: promtool prints those that were not expected."""
    cases = [{"eval_time": "400m", "alertname": name, "exp_alerts": []} for name in alert_names()]
    values = [{"series": name, "values": text} for name, text in series.items()]
    test = {"interval": "1m", "input_series": values, "alert_rule_test": cases}
    file = folder / "test.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]}))
    process = subprocess.run([PROMTOOL, "test", "rules", file], capture_output=True, text=True, check=False)
    output = process.stdout + process.stderr
    firing = {name for name in alert_names() if f"alertname: {name}," in output}
    assert bool(firing) == bool(process.returncode), output
    return firing


def test_no_alert_fires_without_a_fault(tmp_path):
    assert find_firing(QUIET, tmp_path) == set()


@pytest.mark.parametrize("alert", sorted(FAULTS))
def test_alert_fires_at_its_fault(alert, tmp_path):
    assert find_firing(QUIET | FAULTS[alert], tmp_path) == {alert} | ALSO_FIRING.get(alert, set())


def test_few_requests_raise_no_alert(tmp_path):
    assert find_firing(QUIET | FEW_REQUESTS, tmp_path) == set()


def test_two_failures_by_chance_raise_no_alert(tmp_path):
    assert find_firing(QUIET | FEW_FAILURES, tmp_path) == set()


def test_each_alert_has_a_fault_and_a_runbook():
    assert set(FAULTS) == set(alert_names())
    for rule in read_rules():
        assert "record" in rule or (REPOSITORY / rule["annotations"]["runbook"]).is_file()
