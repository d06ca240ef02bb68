"""Judge a candidate: evidence in, verdicts out; every gate speaks, none hides another."""

from __future__ import annotations

from include.modeling.gates.runner import judge, measure
from include.modeling.gates.verdict import SAME_ANSWER, Outcome, Verdict, blocked, undecided

__all__ = ["SAME_ANSWER", "Outcome", "Verdict", "blocked", "judge", "measure", "undecided"]
