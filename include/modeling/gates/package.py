"""Judge the packaged model: golden rows, parity with a fresh process, and what it costs to run."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from include.errors import DataError
from include.modeling.evaluation.context import estimator_errors, evenly_spaced
from include.modeling.evaluation.evidence import Measurement
from include.modeling.gates.verdict import SAME_ANSWER, measurement_of, verdict
from include.modeling.packaging import package

if TYPE_CHECKING:
    from include.declarations import Budget
    from include.modeling.evaluation.context import EvaluationContext
    from include.modeling.evaluation.evidence import Evidence, Figure
    from include.modeling.gates.verdict import Verdict

ROWS = 500  # asked of a fresh process
LIMITS = {  # figure of the fresh process, its name, and its unit
    "latency": ("latency_p99_ms", "99 % of single rows within", "ms"),
    "size": ("size_mb", "the model's files take", "MB"),
    "memory": ("memory_mb", "a process with the model takes", "MB"),
}


def measure_golden(trial: EvaluationContext) -> Measurement:
    """
    Ask the golden rows that were packaged with the model, as a caller would.

    :raises DataError: if it cannot answer them
    """
    with estimator_errors(trial.use_case, "its golden rows"):
        rows, gap = package.packaging_parity(trial.folder, trial.model)
    return Measurement(figures={"largest_gap": gap}, rows=rows)


def golden(evidence: Evidence) -> Verdict:
    """Fail if the packaged model answers its golden rows otherwise than in training."""
    words = "asked as by a caller, it differs by {gap:.3g} from training on {rows} golden rows"
    return _alike("golden", evidence, words)


def measure_parity(trial: EvaluationContext) -> Measurement:
    """
    Compare what a fresh process answers with what was answered here.

    :raises DataError: if it could not answer
    """
    if trial.isolated is None:
        raise DataError("no fresh process was asked")
    expected = trial.test.predictions[evenly_spaced(len(trial.test.predictions), ROWS)]
    answers = np.asarray(trial.isolated().predictions, dtype=np.float64)
    same_shape = answers.shape == expected.shape and bool(np.isfinite(answers).all())
    gap = float(np.abs(answers - expected).max(initial=0.0)) if same_shape else float(np.finfo(float).max)
    return Measurement(figures={"largest_gap": gap}, rows=len(expected))


def parity(evidence: Evidence) -> Verdict:
    """Fail if the packaged model, in a process of its own, answers otherwise than here."""
    return _alike("parity", evidence, "in a fresh process it differs by {gap:.3g} on {rows} test rows")


def _alike(gate: str, evidence: Evidence, words: str) -> Verdict:
    found = measurement_of(gate, evidence)
    gap = float(found.figures["largest_gap"])
    same = found.rows > 0 and gap <= SAME_ANSWER
    figures = {"rows": found.rows, "largest_gap": gap, "allowed": SAME_ANSWER}
    return verdict(gate, "pass" if same else "fail", words.format(gap=gap, rows=found.rows), figures)


def measure_budget(gate: Budget, trial: EvaluationContext) -> Measurement:
    """
    Return what the model takes in a fresh process, and the champion beside it where the gate compares.

    :raises DataError: if one of them could not answer
    """
    if trial.isolated is None:
        raise DataError("no fresh process was asked")
    figures: dict[str, Figure] = _costs(asdict(trial.isolated()), "")
    if gate.compares and trial.champion_isolated is not None:
        figures |= _costs(asdict(trial.champion_isolated()), "champion_")
    return Measurement(figures=figures, rows=1)


def _costs(answers: dict[str, float], of: str) -> dict[str, Figure]:
    return {f"{of}{name}": value for name, value in answers.items() if name != "predictions"}


def budget(gate: Budget, evidence: Evidence) -> Verdict:
    """Fail what exceeds a limit, or the champion by more than a ratio; each that does is named."""
    found = measurement_of(gate, evidence).figures
    over: list[str] = []
    within: list[str] = []
    for what, (name, words, unit) in LIMITS.items():
        value = float(found[name])
        limit = getattr(gate, f"maximum_{what}_{unit.lower()}")
        if limit is not None:
            (over if value > limit else within).append(
                f"{words} {value:.4g} {unit}, {limit:g} {unit} allowed"
            )
        steady = "latency_p50_ms" if what == "latency" else name  # the worst call is a matter of luck
        ratio = getattr(gate, f"maximum_{what}_ratio")
        if ratio is not None and f"champion_{steady}" in found:
            times = float(found[steady]) / float(found[f"champion_{steady}"])
            said = (
                f"{what} is {times:.2f} times the champion's ({found[steady]:.4g} {unit}), {ratio:g} allowed"
            )
            (over if times > ratio else within).append(said)
    if not over and not within:
        return verdict(gate, "pass", "there is no champion yet to compare with", found)
    return verdict(gate, "fail" if over else "pass", "; ".join(over or within), found)
