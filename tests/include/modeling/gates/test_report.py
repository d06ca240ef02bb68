from __future__ import annotations

import json

import pytest

from include.modeling.gates import judge_gates, report
from include.modeling.gates.base import Verdict
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY
from tests.include.modeling.gates.conftest import evaluated


def test_page_has_verdicts_rows_skill_and_costs(tmp_path):
    use_case, _, evidence = evaluated()
    page, data = report.write_report_files(tmp_path, use_case, evidence, judge_gates(use_case, evidence))
    text = page.read_text()
    assert "**Refused**" in text
    assert "| threshold_roc_auc | ✗ fail | block | roc_auc 0." in text
    assert "(on 100 rows)" in text
    assert "600 train, 200 validation, 400 test; 10 test days" in text
    assert "Skill against the baseline (by hour): " in text
    assert "EUR with the model" in text
    content = json.loads(data.read_text())
    assert content["conclusion"] == "refused"
    assert content["measurements"]["robustness/block"]["rows"] == 100


@pytest.mark.parametrize(
    ("outcome", "severity", "conclusion"),
    [
        ("pass", "block", "passed"), ("fail", "block", "refused"), ("inconclusive", "block", "undecided"),
        ("fail", "warn", "passed"), ("inconclusive", "info", "passed"),
    ],
)  # fmt: skip
def test_conclusion_is_that_of_the_blocking_gates(outcome, severity, conclusion):
    assert report.conclusion([Verdict("a", outcome, severity, "b", {})]) == conclusion


def test_reason_does_not_break_the_table():
    verdicts = [Verdict("a", "fail", "block", "this | and\nthat", {})]
    assert "| this \\| and that |" in report.report_markdown(FLIGHT_DELAY, None, verdicts)
