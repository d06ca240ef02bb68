"""Rules that choose the rows that are worth a label by a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from include.declarations.data.columns import NUMERIC

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from include.declarations import Column, Task

    Values = npt.NDArray[np.float64]
    Codes = npt.NDArray[np.intp]

N_BINS = 10
# Added to each count, so that a value that was never seen before has a finite ratio.
PRIOR_COUNT = 0.5


def measure_uncertainty(predictions: Values, task: Task) -> Values | None:
    """
    Return how little confident each prediction is, 0 to 1; None for a task whose predictions do not say it.

    It is the margin between the two most probable classes (Scheffer et al. 2001); of two classes this is the
    distance of the probability from one half (Lewis and Gale 1994).

    Parameters
    ----------
    predictions
        Probabilities (n,) of a binary task, or (n, n_classes).
    """
    if task == "binary":
        return 1 - np.abs(2 * predictions - 1)
    if task == "multiclass":
        second, first = np.sort(predictions, axis=1)[:, -2:].T
        margins: Values = 1 - (first - second)
        return margins
    return None


def measure_disagreement(predictions: Values, others: Values) -> Values:
    """
    Return how far two models' predictions (n,) or (n, n_classes) of the same rows are from each other.

    Of several classes it is the total variation distance; NaN where one of them has no prediction.
    """
    distances = np.abs(predictions - others)
    return distances if distances.ndim == 1 else distances.sum(axis=1) / 2


def measure_drift_of_rows(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    columns: Sequence[Column],
    importance: Mapping[str, float],
) -> Values:
    """
    Return by how much the values of each current row (n,) became more frequent than in the training rows.

    Of each feature it is the logarithm of the ratio of densities (Sugiyama et al. 2012), in bins, times its
    share of the greatest importance; of a row it is that of the feature that drifted most. A value that the
    training rows do not have is far above those that are as frequent as before.

    Parameters
    ----------
    reference
        Training rows with the columns.
    current
        Rows (n); a column that they lack is left out.
    importance
        Weight of each feature; all count the same if none is positive.
    """
    compared = [column for column in columns if column.name in current and column.dtype != "timestamp"]
    weights = [max(importance.get(column.name, 0.0), 0.0) for column in compared]
    greatest = max(weights, default=0.0)
    scores = np.zeros(len(current))
    for column, weight in zip(compared, weights, strict=True):
        before, now = _bins_of(reference[column.name], current[column.name], column.dtype)
        ratios = _log_ratios(before, now)[now]
        scores = np.maximum(scores, ratios * weight / greatest if greatest else ratios)
    return scores


def _bins_of(reference: pd.Series, current: pd.Series, dtype: str) -> tuple[Codes, Codes]:
    """Return the bins of the values; missing ones have a bin of their own."""
    if dtype not in NUMERIC:
        values = pd.concat([reference, current], ignore_index=True).astype(object)
        codes = pd.factorize(values.map(str, na_action="ignore"), use_na_sentinel=True)[0] + 1
        return codes[: len(reference)], codes[len(reference) :]
    before = pd.to_numeric(reference, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    now = pd.to_numeric(current, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    finite = before[np.isfinite(before)]
    # Beside the deciles the range: a number beyond it was never seen.
    edges = np.unique(np.quantile(finite, np.linspace(0, 1, N_BINS + 1))) if len(finite) else np.zeros(1)
    return _codes(before, edges), _codes(now, edges)


def _codes(values: Values, edges: Values) -> Codes:
    """Return 0 for missing values, 1 below the edges, the last code above them, and others between."""
    codes = np.searchsorted(edges[1:-1], values, side="left") + 2
    codes = np.where(values < edges[0], 1, codes)
    codes = np.where(values > edges[-1], len(edges) + 2, codes)
    return np.where(np.isnan(values), 0, codes)


def _log_ratios(before: Codes, now: Codes) -> Values:
    """Return the logarithm of the ratio of the shares of each bin."""
    n_bins = int(max(before.max(initial=0), now.max(initial=0))) + 1
    shares = []
    for codes in (now, before):
        counts = np.bincount(codes, minlength=n_bins) + PRIOR_COUNT
        shares.append(np.log(counts / counts.sum()))
    ratios: Values = shares[0] - shares[1]
    return ratios


def select_rows(scores: Mapping[str, Values], limit: int) -> list[tuple[int, str]]:
    """
    Return the positions of at most `limit` rows, each with the rule that chose it.

    The rules choose alternately, each the row with its greatest score that is not chosen yet; of equal scores
    the first row. Rows with a score of NaN, or not above 0, are not chosen.
    """
    queues = {rule: _ranked(values) for rule, values in scores.items()}
    chosen: dict[int, str] = {}
    while queues and len(chosen) < limit:
        for rule in list(queues):
            position = next((row for row in queues[rule] if row not in chosen), None)
            if position is None:
                del queues[rule]
            elif len(chosen) < limit:
                chosen[position] = rule
    return list(chosen.items())


def _ranked(scores: Values) -> Iterator[int]:
    order = np.argsort(-scores, kind="stable")
    return (int(position) for position in order if scores[position] > 0)
