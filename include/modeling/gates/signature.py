"""Judge whether callers can go on as before: what the champion takes, the candidate takes too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.modeling.evaluation.evidence import Measurement
from include.modeling.gates.verdict import measurement_of, verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.declarations import SignatureCompatibility
    from include.modeling.evaluation.context import EvaluationContext
    from include.modeling.evaluation.evidence import Evidence
    from include.modeling.gates.verdict import Verdict

WIDER: Mapping[str, frozenset[str]] = {  # what is valid for the first is valid for these too
    "integer": frozenset({"long", "float", "double"}),
    "long": frozenset({"double"}),
    "float": frozenset({"double"}),
}


def measure(trial: EvaluationContext) -> Measurement:
    """Return what callers of the champion may send, and the candidate would refuse."""
    if trial.champion is None:
        return Measurement()
    theirs, ours = trial.champion.model.columns, trial.model.columns
    gone = [{"column": name, "why": "is not taken any more"} for name in theirs if name not in ours]
    new = [{"column": name, "why": "is asked for now"} for name in ours if name not in theirs]
    changed = [
        {"column": name, "why": f"was {theirs[name]}, and has to be {kind} now"}
        for name, kind in ours.items()
        if name in theirs and kind != theirs[name] and kind not in WIDER.get(theirs[name], ())
    ]
    task = trial.champion.model.task
    other = [{"column": "the answer", "why": f"was that of a {task}"}] if task != trial.model.task else []
    was, now = trial.champion.model.classes, trial.model.classes
    if not other and was != now:
        other = [{"column": "the answer", "why": f"had the classes {', '.join(was)}, not {', '.join(now)}"}]
    figures = {"champion": trial.champion.version}
    return Measurement(figures=figures, items=(*gone, *new, *changed, *other), rows=len(theirs))


def judge(gate: SignatureCompatibility | str, evidence: Evidence) -> Verdict:
    """Fail if a request that is valid for the champion would be refused."""
    found = measurement_of("signature", evidence)
    if "champion" not in found.figures:
        return verdict(gate, "pass", "there is no champion yet, and so no caller", {})
    broken = [f"{item['column']} {item['why']}" for item in found.items]
    reason = f"callers of champion {found.figures['champion']} would be refused: {'; '.join(broken)}"
    if not broken:
        reason = f"whatever champion {found.figures['champion']} takes is valid ({found.rows} columns)"
    return verdict(gate, "fail" if broken else "pass", reason, {**found.figures, "broken": len(broken)})
