"""Judge a candidate: evidence in, verdicts out; every gate speaks, none hides another."""

from __future__ import annotations

from include.modeling.gates.runner import judge_gates, measure_gates
from include.modeling.gates.verdict import SAME_ANSWER, Verdict, VerdictOutcome, failed, inconclusive

__all__ = [
    "SAME_ANSWER",
    "Verdict",
    "VerdictOutcome",
    "failed",
    "inconclusive",
    "judge_gates",
    "measure_gates",
]
