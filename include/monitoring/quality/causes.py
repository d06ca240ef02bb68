"""Why a classifier became worse: harder rows, other shares of the labels, or answers that became wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from include.declarations.metrics import is_greater_better
from include.modeling.evaluation.metrics import compute_metrics
from include.monitoring.quality.estimated import estimate_quality

if TYPE_CHECKING:
    import numpy.typing as npt

    from include.declarations import UseCase
    from include.monitoring.quality.promised import EvaluationComparison
    from include.monitoring.quality.skill import Shares

    Values = npt.NDArray[np.float64]

COVARIATE_SHIFT = "covariate shift"
LABEL_SHIFT = "label shift"
CONCEPT_DRIFT = "concept drift"
# Shares of classes that are not 0.
MIN_SHARE = 1e-6


class Cause(NamedTuple):
    """Name of a cause and the figure that speaks for it."""

    name: str
    evidence: str


def find_cause(
    use_case: UseCase,
    compared: EvaluationComparison,
    predictions: Values,
    target: Values,
    trained: float | Shares,
) -> Cause | None:
    """
    Return what made the metric of a classifier worse than in its evaluation; None if it is not worse.

    The probabilities foresee a loss by rows that are harder (covariate shift). If they did not, but are as
    good as promised once they are adjusted to the shares of the classes in the window (Saerens, Latinne and
    Decaestecker 2002), only those changed (label shift). Else the answers became wrong (concept drift).

    Parameters
    ----------
    predictions, target
        Rows of the window, (n,) or (n, n_classes), and (n,).
    trained
        Share of the positive class, or of each class, among the training labels.
    """
    if not compared.is_worse:
        return None
    expected = estimate_quality(use_case, predictions).get(compared.metric)
    if expected is None:
        return None
    evidence = f"since {expected:.3f} was to be expected of these rows"
    if not _is_kept(compared, expected):
        return Cause(COVARIATE_SHIFT, evidence)
    adjusted_predictions = adjust_to_shares(predictions, target, trained)
    adjusted = compute_metrics(use_case, adjusted_predictions, target, only={compared.metric})
    if _is_kept(compared, adjusted[compared.metric]):
        figure = f"since it is {adjusted[compared.metric]:.3f} with the present shares of the classes"
        return Cause(LABEL_SHIFT, figure)
    return Cause(CONCEPT_DRIFT, evidence)


def _is_kept(compared: EvaluationComparison, value: float) -> bool:
    """Return whether a value is not worse than the worse bound of the evaluation."""
    lower, upper = compared.promised
    return value >= lower if is_greater_better(compared.metric) else value <= upper


def adjust_to_shares(predictions: Values, target: Values, trained: float | Shares) -> Values:
    """Return the probabilities of a model whose training labels had the shares of `target`."""
    if predictions.ndim == 1:
        share = float(np.clip(trained, MIN_SHARE, 1 - MIN_SHARE))
        present = float(np.clip(np.mean(target), MIN_SHARE, 1 - MIN_SHARE))
        positive = predictions * present / share
        negative = (1 - predictions) * (1 - present) / (1 - share)
        return np.asarray(positive / np.maximum(positive + negative, MIN_SHARE))
    n_classes = predictions.shape[1]
    present_shares = np.bincount(target.astype(np.int64), minlength=n_classes) / len(target)
    weighted = predictions * present_shares / np.maximum(trained, MIN_SHARE)
    return np.asarray(weighted / np.maximum(weighted.sum(axis=1, keepdims=True), MIN_SHARE))
