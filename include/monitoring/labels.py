"""Labels land late: how many are there, and what the predictions were worth where they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from include.errors import DataError
from include.modeling.evaluation import evaluate

if TYPE_CHECKING:
    import pandas as pd

    from include.declarations import UseCase

Outcome = Literal["good", "lost", "inconclusive"]

MINIMUM_LABELS = 100


@dataclass(frozen=True, slots=True)
class Quality:
    """
    What the labels say of a version's predictions.

    `completeness` is the share of predictions that have a label by now. `skill` is 1 - loss / loss of the
    naive forecast, a yardstick that does not move with the model: 1 is perfect, 0 no better than a constant.
    """

    outcome: Outcome
    reason: str
    predictions: int
    labelled: int
    completeness: float
    skill: float | None
    figures: dict[str, float]


def join(predictions: pd.DataFrame, labels: pd.DataFrame, use_case: UseCase, *, entity: str) -> pd.DataFrame:
    """
    Return `predictions` (columns `entity`, `prediction`) with a column `target`, missing where no label is.

    Of an entity that was asked for several times the last prediction counts.

    :raises DataError: if an entity has two labels
    """
    twice = labels[entity][labels[entity].duplicated()]
    if not twice.empty:
        raise DataError(
            f"{use_case.label.dataset}: {entity} {twice.iloc[0]!r} has several labels. "
            "Its partitions overlap: run their ingestion again."
        )
    target = labels.set_index(entity)[use_case.label.column].astype("float64")
    if use_case.label.above is not None:
        target = (target > use_case.label.above).astype("float64").where(target.notna())
    last = predictions[predictions[entity].notna()].drop_duplicates(entity, keep="last")
    return last.assign(target=last[entity].map(target))


def naive_forecast(use_case: UseCase, target: pd.Series) -> float:
    """Return the constant that is the best forecast without a model: from the champion's training labels."""
    return float(target.median() if _loss(use_case) == "mae" else target.mean())


def measure(
    joined: pd.DataFrame, use_case: UseCase, *, naive: float, minimum_labels: int = MINIMUM_LABELS
) -> Quality:
    """
    Return completeness and quality of what `join` returned; `naive` is the `naive_forecast`.

    Quality is lost when the predictions are worth no more than the naive forecast.
    """
    labelled = joined[joined["target"].notna()]
    completeness = len(labelled) / len(joined) if len(joined) else 0.0
    counts = (len(joined), len(labelled), completeness)
    if len(labelled) < minimum_labels:
        reason = f"{len(labelled)} of {len(joined)} predictions have a label, {minimum_labels} are needed"
        return Quality("inconclusive", reason, *counts, skill=None, figures={})
    target = labelled["target"].to_numpy(dtype=np.float64)
    figures = evaluate(use_case, labelled["prediction"].to_numpy(dtype=np.float64), target)
    loss = _loss(use_case)
    yardstick = evaluate(use_case, np.full(len(target), naive), target)[loss]
    if not yardstick:
        reason = f"all {len(labelled)} labels are {naive:g}: nothing to forecast, so no skill to measure"
        return Quality("inconclusive", reason, *counts, skill=None, figures=figures)
    skill = 1 - figures[loss] / yardstick
    reason = (
        f"skill {skill:.3f} ({loss} {figures[loss]:.4g}, naive {yardstick:.4g}) on {len(labelled)} labels"
    )
    return Quality("good" if skill > 0 else "lost", reason, *counts, skill=skill, figures=figures)


def _loss(use_case: UseCase) -> Literal["brier", "rmse", "mae"]:
    if use_case.task == "classification":
        return "brier"
    return "mae" if use_case.metric == "mae" else "rmse"
