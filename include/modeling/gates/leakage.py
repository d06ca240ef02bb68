"""Gate on features that know the target: by their own predictive power, and by their view's check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn import metrics

from include.data.snapshots.target_encoding import TARGET
from include.declarations import Leakage
from include.modeling.evaluation.context import sample
from include.modeling.evaluation.evidence import Measurement
from include.modeling.gates.base import PromotionGate

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from include.data.snapshots.leakage_history import LeakageRecord
    from include.modeling.evaluation.bootstrap import Values
    from include.modeling.evaluation.context import EvaluationContext
    from include.modeling.evaluation.evidence import Evidence, Figure
    from include.modeling.gates.base import Verdict, VerdictOutcome

MAX_ROWS = 20_000
MAX_BINS = 64
# A class with fewer test rows may be ranked well by chance.
MIN_CLASS_ROWS = 50
WORST_FIRST: list[VerdictOutcome] = ["fail", "inconclusive", "pass"]


class PartialVerdict(NamedTuple):
    """Outcome of one half of the gate, with its reason and figures."""

    outcome: VerdictOutcome
    reason: str
    figures: Mapping[str, Figure]


class Bins(NamedTuple):
    """Bins of the values of one feature: of each training row (n,), of each test row (m,), their number."""

    train: npt.NDArray[np.intp]
    test: npt.NDArray[np.intp]
    number: int

    def guess(self, train_target: Values) -> Values:
        """Return for each test row the mean target of the training rows in its bin."""
        rows = np.bincount(self.train, minlength=self.number)
        means = np.bincount(self.train, train_target, minlength=self.number) / np.maximum(rows, 1)
        guesses: Values = np.where(rows > 0, means, train_target.mean())[self.test]
        return guesses


class LeakageGate(PromotionGate[Leakage]):
    """No single feature predicts the target too well, and the features passed their view's own check."""

    def measure(self, context: EvaluationContext) -> Measurement:
        """Return the score of each feature alone, on a sample of the test rows."""
        train = sample(context.train.frame, MAX_ROWS)
        test = sample(context.test.frame, MAX_ROWS)
        train_target = train[TARGET].to_numpy(dtype=np.float64)
        test_target = test[TARGET].to_numpy(dtype=np.float64)
        items = tuple(
            {
                "feature": name,
                "score": score_feature(
                    self.use_case.task, train[name], test[name], train_target, test_target
                ),
            }
            for name in self.use_case.features
        )
        return Measurement(items=items, rows=len(test))

    def judge(self, evidence: Evidence) -> Verdict:
        """
        Fail if a feature predicts too well and is not exempt, or did not pass its view's own check.

        Days without a check make the verdict inconclusive: they may leak.
        """
        measurement = self.measurement(evidence)
        features = {str(item["feature"]) for item in measurement.items}
        power = _judge_scores(self.declared, measurement)
        history = _judge_history(evidence.leakage, features)
        outcome = min(power.outcome, history.outcome, key=WORST_FIRST.index)
        figures: dict[str, Figure] = {
            "rows": measurement.rows,
            "maximum": self.declared.maximum,
            **history.figures,
            **power.figures,
        }
        return self.verdict(outcome, f"{history.reason}; {power.reason}", figures)


def score_feature(
    task: str, train: pd.Series[Any], test: pd.Series[Any], train_target: Values, test_target: Values
) -> float | None:
    """
    Return the ROC AUC, or of a regression R², of the mean target per bin of one feature.

    Of several classes, it is the largest ROC AUC of one class against the others, among the classes with at
    least `MIN_CLASS_ROWS` test rows in and outside of them.

    Parameters
    ----------
    task : str
        Task of the use case.
    train, test : Series, shape (n_train,) and (n_test,)
        Values of the feature.
    train_target, test_target : array of float, shape (n_train,) and (n_test,)

    Returns
    -------
    float or None
        None where the score is undefined: one class only, or one row.
    """
    bins = _bin_values(train, test)
    if task == "multiclass":
        scores = []
        for code in np.unique(test_target):
            is_class = test_target == code
            if min(np.count_nonzero(is_class), np.count_nonzero(~is_class)) >= MIN_CLASS_ROWS:
                scores.append(_roc_auc(bins, train_target == code, is_class))
        return max((score for score in scores if score is not None), default=None)
    if task == "binary":
        return _roc_auc(bins, train_target, test_target)
    return float(metrics.r2_score(test_target, bins.guess(train_target))) if len(test_target) > 1 else None


def _roc_auc(bins: Bins, train_target: npt.NDArray[Any], test_target: npt.NDArray[Any]) -> float | None:
    if len(np.unique(test_target)) < 2:
        return None
    return float(metrics.roc_auc_score(test_target, bins.guess(train_target.astype(np.float64))))


def _bin_values(train: pd.Series[Any], test: pd.Series[Any]) -> Bins:
    """
    Return the bin of each row; the bin 0 holds missing values.

    Each category, and each of few numbers, is a bin; many numbers are cut at their training quantiles.
    """
    if pd.api.types.is_numeric_dtype(train) and train.nunique() > MAX_BINS:
        train_values = train.to_numpy(dtype=np.float64)
        edges = np.unique(np.nanquantile(train_values, np.linspace(0, 1, MAX_BINS + 1)[1:-1]))
        test_values = test.to_numpy(dtype=np.float64)
        return Bins(_bin_numbers(train_values, edges), _bin_numbers(test_values, edges), len(edges) + 2)
    distinct = pd.Index(train.dropna().unique())
    train_bins = distinct.get_indexer(pd.Index(train)) + 1
    test_bins = distinct.get_indexer(pd.Index(test)) + 1
    return Bins(train_bins, test_bins, len(distinct) + 1)


def _bin_numbers(values: Values, edges: Values) -> Any:
    return np.where(np.isnan(values), 0, np.searchsorted(edges, values, "right") + 1)


def _judge_scores(gate: Leakage, measurement: Measurement) -> PartialVerdict:
    """Return whether a single feature predicts the target too well."""
    scores = {
        str(item["feature"]): float(item["score"]) for item in measurement.items if item["score"] is not None
    }
    leaking = {
        name: score for name, score in scores.items() if score > gate.maximum and name not in gate.exempt
    }
    if leaking:
        names = ", ".join(f"{name} ({score:.3f})" for name, score in leaking.items())
        reason = (
            f"alone, {names} predicts the target of {measurement.rows} test rows too well, "
            f"{gate.maximum:g} is allowed: was it known before the event?"
        )
        return PartialVerdict("fail", reason, scores)
    if not scores:
        return PartialVerdict("inconclusive", "the test rows have one class only", scores)
    best = max(scores, key=scores.__getitem__)
    reason = f"the best single feature, {best}, reaches {scores[best]:.3f}, {gate.maximum:g} is allowed"
    if best in gate.exempt:
        reason += ", and it is exempt"
    return PartialVerdict("pass", reason, scores)


def _spellings(view: str, leak: str) -> set[str]:
    """Return the names that a use case may give to a leaking feature."""
    return {leak, f"{view}.{leak}", leak.rpartition(".")[2]}


def _judge_history(record: LeakageRecord | None, features: set[str]) -> PartialVerdict:
    """Return what the feature view's own checks found on the days that the model learns from."""
    if record is None:
        reason = "the checks of the features were not looked up: clear `evaluate`"
        return PartialVerdict("inconclusive", reason, {})
    view = record.feature_view
    figures: dict[str, Figure] = {
        "days_checked": record.passed,
        "days_unchecked": record.unchecked_days,
    }
    if record.undated:
        reason = f"nothing in {view} is dated, so no feature can be checked for its time"
        return PartialVerdict("pass", reason, {})
    leaks = [message for name, message in record.leaks.items() if _spellings(view, name) & features]
    if leaks:
        return PartialVerdict("fail", f"{view} did not pass its own check: {'; '.join(leaks)}", figures)
    if record.unchecked:
        reason = (
            f"{record.unchecked_days} days of {view} ({', '.join(record.unchecked)}) were published without "
            "their own check: run the DAG of its features for them"
        )
        return PartialVerdict("inconclusive", reason, figures)
    if record.leaks:
        others = ", ".join(record.leaks)
        return PartialVerdict(
            "pass", f"only {others} of {view} leaks, and this model does not use it", figures
        )
    return PartialVerdict("pass", f"all {record.passed} days of {view} passed their own check", figures)
