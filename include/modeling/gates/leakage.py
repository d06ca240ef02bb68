"""Judge whether one feature alone tells the target too well: then it probably knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn import metrics

from include.modeling.evidence import Measurement
from include.modeling.gates.verdict import measured, verdict
from include.modeling.trial import sample

if TYPE_CHECKING:
    from include.declarations import Leakage
    from include.modeling.evidence import Evidence, Figure
    from include.modeling.gates.verdict import Verdict
    from include.modeling.resampling import Values
    from include.modeling.trial import Trial

ROWS = 20_000
BINS = 64


def measure(gate: Leakage, trial: Trial) -> Measurement:
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
    if task == "classification" and len(np.unique(target)) < 2:
        return None
    seen, asked, count = _cells(train, test)
    rows = np.bincount(seen, minlength=count)
    usual = np.bincount(seen, known, minlength=count) / np.maximum(rows, 1)
    guesses = np.where(rows > 0, usual, known.mean())[asked]
    if task == "classification":
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
    """Fail if a feature that is not exempt tells too much; name all that do."""
    found = measured(gate, evidence)
    scores = {str(item["feature"]): float(item["score"]) for item in found.items if item["score"] is not None}
    too_good = {
        name: score for name, score in scores.items() if score > gate.maximum and name not in gate.exempt
    }
    figures: dict[str, Figure] = {"rows": found.rows, "maximum": gate.maximum, **scores}
    if too_good:
        said = ", ".join(f"{name} ({score:.3f})" for name, score in too_good.items())
        reason = (
            f"alone, {said} tells the target of {found.rows} test rows too well, {gate.maximum:g} is "
            "allowed: was it known before the event?"
        )
        return verdict(gate, "fail", reason, figures)
    if not scores:
        return verdict(gate, "inconclusive", "the test rows have one class only", figures)
    best = max(scores, key=scores.__getitem__)
    reason = f"the best single feature, {best}, reaches {scores[best]:.3f}, {gate.maximum:g} is allowed"
    return verdict(gate, "pass", f"{reason}{', and it is exempt' if best in gate.exempt else ''}", figures)
