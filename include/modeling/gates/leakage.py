"""Judge whether features know the target: by what one tells alone, and by what their own check has found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn import metrics

from include.modeling.evaluation.context import sample
from include.modeling.evaluation.evidence import Measurement
from include.modeling.gates.verdict import measurement_of, verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.declarations import Leakage
    from include.modeling.evaluation.bootstrap import Values
    from include.modeling.evaluation.context import EvaluationContext
    from include.modeling.evaluation.evidence import Evidence, Figure
    from include.modeling.gates.verdict import Verdict, VerdictOutcome

    Figures = dict[str, Figure]
    Finding = tuple[VerdictOutcome, str, Mapping[str, Figure]]

ROWS = 20_000
BINS = 64
WORST: list[VerdictOutcome] = ["fail", "inconclusive", "pass"]


def measure(gate: Leakage, trial: EvaluationContext) -> Measurement:
    """Return how well each feature tells the target alone: its mean per bin in training, on test rows."""
    train, test = sample(trial.train.frame, ROWS), sample(trial.test.frame, ROWS)
    targets = [part["target"].to_numpy(dtype=np.float64) for part in (train, test)]
    items = tuple(
        {"feature": name, "score": _score(trial.use_case.task, train[name], test[name], *targets)}
        for name in trial.use_case.features
    )
    return Measurement(items=items, rows=len(test))


def _score(
    task: str, train: pd.Series[Any], test: pd.Series[Any], known: Values, target: Values
) -> float | None:
    if task == "binary" and len(np.unique(target)) < 2:
        return None
    seen, asked, count = _cells(train, test)
    rows = np.bincount(seen, minlength=count)
    usual = np.bincount(seen, known, minlength=count) / np.maximum(rows, 1)
    guesses = np.where(rows > 0, usual, known.mean())[asked]
    if task == "binary":
        return float(metrics.roc_auc_score(target, guesses))
    return float(metrics.r2_score(target, guesses)) if len(target) > 1 else None


def _cells(train: pd.Series[Any], test: pd.Series[Any]) -> tuple[Any, Any, int]:
    """Return the cell of each row: a value of a category or of few numbers, else a bin; 0 is missing."""
    if pd.api.types.is_numeric_dtype(train) and train.nunique() > BINS:
        both = [part.to_numpy(dtype=np.float64) for part in (train, test)]
        edges = np.unique(np.nanquantile(both[0], np.linspace(0, 1, BINS + 1)[1:-1]))
        cells = [np.where(np.isnan(part), 0, np.searchsorted(edges, part, "right") + 1) for part in both]
        return cells[0], cells[1], len(edges) + 2
    values = pd.Index(train.dropna().unique())
    seen, asked = (values.get_indexer(pd.Index(part)) + 1 for part in (train, test))
    return seen, asked, len(values) + 1


def judge(gate: Leakage, evidence: Evidence) -> Verdict:
    """
    Fail if a feature that is not exempt tells too much, or did not pass its view's own check; name them.

    Days that nobody checked leave it open: that nothing is on record is no proof that nothing leaks.
    """
    found = measurement_of(gate, evidence)
    alone, record = _alone(gate, found), _on_record(evidence, {str(item["feature"]) for item in found.items})
    outcome = min(alone[0], record[0], key=WORST.index)
    figures: dict[str, Figure] = {"rows": found.rows, "maximum": gate.maximum, **record[2], **alone[2]}
    return verdict(gate, outcome, f"{record[1]}; {alone[1]}", figures)


def _alone(gate: Leakage, found: Measurement) -> Finding:
    """Return whether one feature alone tells too much."""
    scores = {str(item["feature"]): float(item["score"]) for item in found.items if item["score"] is not None}
    too_good = {
        name: score for name, score in scores.items() if score > gate.maximum and name not in gate.exempt
    }
    if too_good:
        said = ", ".join(f"{name} ({score:.3f})" for name, score in too_good.items())
        reason = (
            f"alone, {said} tells the target of {found.rows} test rows too well, {gate.maximum:g} is "
            "allowed: was it known before the event?"
        )
        return "fail", reason, scores
    if not scores:
        return "inconclusive", "the test rows have one class only", scores
    best = max(scores, key=scores.__getitem__)
    reason = f"the best single feature, {best}, reaches {scores[best]:.3f}, {gate.maximum:g} is allowed"
    return "pass", f"{reason}{', and it is exempt' if best in gate.exempt else ''}", scores


def _on_record(evidence: Evidence, features: set[str]) -> Finding:
    """Return what the feature view's own check said of the days that the model learns from."""
    found = evidence.leakage
    if found is None:
        return "inconclusive", "nobody asked what its features' own check said: clear `evaluate`", {}
    view = found.feature_view
    figures: Figures = {"days_checked": found.passed, "days_unchecked": found.unchecked_days}
    used = {name: said for name, said in found.leaks.items() if name in features}
    if used:
        return "fail", f"{view} did not pass its own check: {'; '.join(used.values())}", figures
    if found.unchecked:
        reason = (
            f"{found.unchecked_days} days of {view} ({', '.join(found.unchecked)}) were published without "
            f"their own check: run {view}_features for them"
        )
        return "inconclusive", reason, figures
    if found.leaks:
        others = ", ".join(found.leaks)
        return "pass", f"only {others} of {view} leaks, and this model does not use it", figures
    return "pass", f"all {found.passed} days of {view} passed their own check", figures
