from __future__ import annotations

import pytest

from include.stack.verdicts import describe_verdict


@pytest.mark.parametrize(
    ("outcome", "severity", "line"),
    [
        ("pass", "warn", "drift: pass: far"),
        ("fail", "block", "drift: fail: far"),
        ("fail", "warn", "drift: fail, which only warns: far"),
        ("inconclusive", "info", "drift: inconclusive, which only warns: far"),
    ],
)
def test_line_says_what_only_warns(outcome, severity, line):
    assert (
        describe_verdict({"gate": "drift", "outcome": outcome, "severity": severity, "reason": "far"}) == line
    )
