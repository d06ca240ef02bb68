"""Classes whose share of the labels surges or vanishes in the newest window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact

from include.data.snapshots.target_encoding import TARGET
from include.monitoring.quality.maturity import DUE, LANDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.declarations import UseCase

# With fewer labels on one side there is no verdict.
MIN_LABELS = 100
# A share changes if it is more than so many times as large as before, or less than that part of it.
SURGE = 3.0
# Probability that any class of a window is named by chance.
ALPHA = 0.001


def find_label_surges(use_case: UseCase, trained: pd.Series, joined: Sequence[pd.DataFrame]) -> str:
    """
    Return the classes whose share surged or vanished in the newest window with 100 labels; else "".

    Windows of which fewer labels than `label.minimum_completeness` have landed are left out.

    It is compared with the windows before, or, with fewer than 100 labels there, with the training. Shares
    differ by more than a factor of three, and by more than chance: Fisher's exact test, with Bonferroni's
    correction for the classes.

    Parameters
    ----------
    trained
        Encoded labels of the champion's training rows, (n,).
    joined
        Results of `include.monitoring.label_quality.join_labels`, newest window first, with `DUE`.
    """
    names = use_case.class_names
    due = [rows[rows[DUE] | rows[LANDED]] for rows in joined]
    complete = [rows for rows in due if rows[LANDED].mean() >= use_case.label.minimum_completeness]
    windows = [rows[TARGET].dropna() for rows in complete]
    newest = next((number for number, labels in enumerate(windows) if len(labels) >= MIN_LABELS), None)
    if not names or newest is None:
        return ""
    earlier = pd.concat([*windows[newest + 1 :], trained.iloc[:0]])
    before = _count_classes(earlier if len(earlier) >= MIN_LABELS else trained.dropna(), len(names))
    now = _count_classes(windows[newest], len(names))
    if before.sum() < MIN_LABELS:
        return ""
    surges = []
    for name, of_class, past in zip(names, now, before, strict=True):
        share = of_class / now.sum()
        share_before = past / before.sum()
        changes = share > SURGE * share_before or share < share_before / SURGE
        table = [[of_class, now.sum() - of_class], [past, before.sum() - past]]
        if changes and fisher_exact(table).pvalue < ALPHA / len(names):
            surges.append(f"{name!r} {share:.1%} of {now.sum()} labels, before {share_before:.1%}")
    return "; ".join(surges)


def _count_classes(labels: pd.Series, n_classes: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the labels of each class, (n_classes,)."""
    return np.bincount(labels.to_numpy(dtype=np.int64), minlength=n_classes)
