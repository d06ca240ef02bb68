"""Promotion gates: measure a candidate, then judge the evidence; each gate gives one verdict."""

from __future__ import annotations

from include.modeling.gates.base import PromotionGate, Verdict, VerdictOutcome, failed, inconclusive
from include.modeling.gates.runner import GATES, MANDATORY, judge_gates, measure_gates

__all__ = [
    "GATES",
    "MANDATORY",
    "PromotionGate",
    "Verdict",
    "VerdictOutcome",
    "failed",
    "inconclusive",
    "judge_gates",
    "measure_gates",
]
